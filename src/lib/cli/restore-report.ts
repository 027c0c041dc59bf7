import type {RestoreState} from '../procedures/restore/options.ts'
import {swapReport} from './swap.ts'

/** What is said when a restore has ended: every finding, and what can be done next. */
export async function restoreReport(state: RestoreState, run: string): Promise<string[]> {
  const {database, live, findings, timings, swap} = state
  const [{outcomeWords}, {findingLines}, {talkTheme}, {duration}, {columnsOf}, {wrapped}] = await Promise.all([import('../procedures/restore/outcome.ts'), import('../ui/findings.ts'), import('../ui/theme.ts'), import('../ui/format.ts'), import('../ui/text.ts'), import('../ui/wrap.ts')])
  const width = process.stderr.isTTY ? columnsOf(process.stderr) : undefined
  return [
    ...findingLines(findings, {theme: talkTheme, all: true}),
    ...wrapped(outcomeWords(state), width),
    ...wrapped(timings.map(({phase, ms}) => `${phase} ${duration(ms)}`).join(', '), width),
    ...(swap ? (await swapReport({live, swap}, `what ${'dump' in state ? state.location : `backup ${state.label}`} holds`, run)).flatMap((line) => [...wrapped(line, width)]) : [
      ...wrapped(`The live database ${live} was not touched.`, width),
      `When ${database} is no longer needed: DROP DATABASE "${database.replaceAll('"', '""')}"`,
    ]),
  ]
}
