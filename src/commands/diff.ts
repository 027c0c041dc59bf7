import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {isRun, type RunResult} from '../lib/cli/run-procedure.ts'
import type {LossTable} from '../lib/checks/loss.ts'
import type {RowLoss} from '../lib/checks/row-loss.ts'
import {ExitCode} from '../lib/errors.ts'
import type {DiffState} from '../lib/procedures/diff/options.ts'

export interface DiffResult {
  label: string
  location: string
  environment: string
  /** From the counts of the manifest and of the live database. */
  loss: LossTable
  /** With --deep: compared row by row. */
  rows: RowLoss | null
  /** With --keep: the copy. */
  kept: string | null
  /** Every table could be compared. */
  complete: boolean
  timings: {phase: string; ms: number}[]
  run: string
  journal: string
}

export default class Diff extends BaseCommand {
  static override summary = 'Show what a restore of a backup would lose, and what it would bring back'
  static override description = 'Compares the live database with the backup, and changes neither. Without --deep from the counts in the manifest, and, where the backup is of this very database, from the transactions that wrote the rows since. With --deep row by row, by key, with a copy that is restored beside and dropped again. The exit code is 0 whether or not there are differences; 7 when a table could not be compared.'
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> 20261122T020000Z-7f3a --table leads --table calls',
    '<%= config.bin %> <%= command.id %> latest --tenant 7f9c…',
    '<%= config.bin %> <%= command.id %> latest --deep --sample 5',
    '<%= config.bin %> <%= command.id %> latest --deep --against crm_restore_20261122020000 --json',
  ]
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.incomplete, ExitCode.interrupted]
  static override args = {backup: Args.string({ignoreStdin: true, description: 'label, latest, path of a backup, or s3://BUCKET/KEY; else latest'})}
  static override flags = {
    table: Flags.string({description: 'only this table, with or without its schema; may be given several times', helpValue: 'TABLE', multiple: true}),
    tenant: Flags.string({description: 'only rows of this tenant', helpValue: 'ID'}),
    deep: Flags.boolean({description: 'compare every row with a restored copy'}),
    against: Flags.string({description: 'with --deep: the copy, a database that dr restore has made; else one is restored and dropped again', helpValue: 'DATABASE'}),
    keep: Flags.boolean({description: 'with --deep: restore the copy whole, with indexes and privileges, and leave it there'}),
    sample: Flags.integer({description: 'with --deep: show so many keys of each table that differ; no other values are ever shown', helpValue: 'N', min: 0, max: 1000}),
    all: Flags.boolean({char: 'a', description: 'show every table and tenant, not only those that differ most'}),
  }

  async run(): Promise<DiffResult> {
    const {args, flags} = await this.parse(Diff)
    const context = this.context(flags)
    const {composeDiff} = await import('../lib/cli/diff.ts')
    const {procedure, state, close} = await composeDiff(context, {backup: args.backup, tables: flags.table ?? [], tenant: flags.tenant, deep: flags.deep, against: flags.against, keep: flags.keep, sample: flags.sample ?? 0})
    try {
      const result = await this.runProcedure(procedure, state, {}, context)
      if (!isRun(result)) throw new Error('There is no plan of a comparison.')
      return await this.report(result, flags.all)
    } finally {
      await close()
    }
  }

  private async report({state, run, journal}: RunResult<DiffState>, all: boolean): Promise<DiffResult> {
    const {diffReport, isComplete} = await import('../lib/cli/diff.ts')
    for (const line of await diffReport(state, {all})) this.log('%s', line)
    const {label, location, environment, loss, rows, restore, timings} = state
    if (loss === undefined) throw new Error('Nothing was counted.')
    const complete = isComplete(state)
    if (!complete) process.exitCode = ExitCode.incomplete
    return {label, location, environment, loss, rows: rows ?? null, kept: restore?.finished === true ? restore.database : null, complete, timings, run, journal}
  }
}
