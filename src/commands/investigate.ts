import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {procedureFlags} from '../lib/cli/flags.ts'
import {isRun, type RunResult} from '../lib/cli/run-procedure.ts'
import {ExitCode} from '../lib/errors.ts'
import type {InvestigateState} from '../lib/procedures/investigate/options.ts'
import type {Investigation} from '../lib/report/investigation.ts'
import type {Plan} from '../lib/runbook/plan.ts'

export interface InvestigateResult {
  /** null with --release. */
  investigation: Investigation | null
  /** Tables whose autovacuum this run has switched off. */
  preserved: {schema: string; name: string}[]
  /** With --release. */
  released: {schema: string; name: string; outcome: string}[]
  /** The incident file; null without --output. */
  output: string | null
  timings: {phase: string; ms: number}[]
  run: string
  journal: string
}

export default class Investigate extends BaseCommand {
  static override summary = 'Find out what happened to the data: when, by which transaction, and how to repair it'
  static override description = 'Compares live rows with the counts of the newest backups, groups rows by the transaction that wrote them last, reads the audit log, and proposes the commands of a repair. Reads only, and gives way to whoever waits for it. Reading may remove dead row versions, as a dump and autovacuum do: --preserve switches autovacuum off for the tables first, until --release. The exit code is 0 whether or not something is found; 7 when a table or a place of backups could not be looked at.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --table leads --preserve',
    '<%= config.bin %> <%= command.id %> --tenant 7f9c… --since 6h --output incident.md',
    "<%= config.bin %> <%= command.id %> --actor 3fa8… --since '2026-11-27 02:00' --json",
    '<%= config.bin %> <%= command.id %> --release',
  ]
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.unreachable, ExitCode.locked, ExitCode.incomplete, ExitCode.declined, ExitCode.interrupted]
  static override flags = {
    table: Flags.string({char: 't', description: 'only this table, with or without its schema; may be given several times', helpValue: 'TABLE', multiple: true, multipleNonGreedy: true}),
    tenant: Flags.string({description: 'only rows of this tenant', helpValue: 'ID'}),
    since: Flags.string({description: 'it happened after this: 6h, 2d, or a time, UTC', helpValue: 'TIME'}),
    actor: Flags.string({description: 'of the audit log only what this user did', helpValue: 'USER'}),
    backups: Flags.integer({description: 'compare so many of the newest backups, else 30', helpValue: 'N', min: 1}),
    preserve: Flags.boolean({description: 'first switch autovacuum off for the tables, until --release'}),
    release: Flags.boolean({description: 'give tables the autovacuum back that --preserve has taken'}),
    output: Flags.string({char: 'o', description: 'write it as Markdown into this file too, for the incident', helpValue: 'FILE.md'}),
    ...procedureFlags,
  }

  async run(): Promise<InvestigateResult | Plan> {
    const {flags} = await this.parse(Investigate)
    const context = this.context(flags)
    const {assertOutput, composeInvestigation} = await import('../lib/cli/investigate.ts')
    await assertOutput(flags.output)
    const {procedure, state, close} = await composeInvestigation(context, {...flags, tables: flags.table ?? []})
    try {
      const result = await this.runProcedure(procedure, state, flags, context)
      return isRun(result) ? await this.report(result, flags.output) : result
    } finally {
      await close()
    }
  }

  private async report({state, run, journal}: RunResult<InvestigateState>, file: string | undefined): Promise<InvestigateResult> {
    const {investigationReport, writeIncidentFile} = await import('../lib/cli/investigate.ts')
    const {investigation = null, former = [], preserved = false, released = [], timings} = state
    if (investigation) for (const line of await investigationReport(investigation)) this.log('%s', line)
    const output = investigation && file !== undefined ? await writeIncidentFile(investigation, file, run) : null
    if (output !== null) this.logToStderr('%s', `Written: ${output}`)
    const failed = released.some(({outcome}) => outcome === 'failed')
    if (failed || investigation?.complete === false) process.exitCode = ExitCode.incomplete
    return {investigation, preserved: preserved ? former.map(({schema, name}) => ({schema, name})) : [], released, output, timings, run, journal}
  }
}
