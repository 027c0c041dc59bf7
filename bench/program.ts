import {mkdir, writeFile} from 'node:fs/promises'
import {dirname} from 'node:path'
import type {Bar} from './bars.ts'

export const say = (line: string): void => { process.stderr.write(`${line}\n`) }

const stop = new AbortController()
/** Aborted by Ctrl-C. */
export const {signal} = stop

/** Runs a program of the benchmark with the words of its command line. */
export function run(main: (argv: readonly string[]) => Promise<void>): void {
  // Ctrl-C reaches the command that is measured, too: it fails, and the laboratory is cleared away. A second one ends at once.
  for (const name of ['SIGINT', 'SIGTERM']) process.once(name, () => { stop.abort(new Error('Interrupted.')) })
  main(process.argv.slice(2)).catch((error: unknown) => {
    say(!signal.aborted && error instanceof Error ? error.message : String(signal.reason ?? error))
    process.exitCode = 1
  })
}

/** Prints the report, writes it where there is an output, and ends with 1 when a bar is missed. */
export async function conclude(text: string, output: string | undefined, bars: readonly Bar[]): Promise<void> {
  process.stdout.write(text)
  if (output !== undefined) {
    await mkdir(dirname(output), {recursive: true})
    await writeFile(output, text)
  }
  const missed = bars.filter(({passed}) => !passed)
  if (missed.length === 0) return
  say(`Not as promised: ${missed.map(({what}) => what).join('; ')}.`)
  process.exitCode = 1
}
