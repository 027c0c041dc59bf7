import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {procedureFlags} from '../lib/cli/flags.ts'
import type {PartialResult} from '../lib/cli/partial-result.ts'
import {isRun} from '../lib/cli/run-procedure.ts'
import {ExitCode} from '../lib/errors.ts'
import type {Plan} from '../lib/runbook/plan.ts'

export type {PartialResult} from '../lib/cli/partial-result.ts'

export default class Partial extends BaseCommand {
  static override summary = 'Bring tables, a tenant, or single rows back into the live database'
  static override description = 'Stages the rows of a backup beside, compares them with what is live, asks, and puts them back in one transaction, in the order of the foreign keys. Every row is kept as it was before; dr undo takes it back. Only what is needed of the backup is fetched.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --table leads --merge missing --relink',
    '<%= config.bin %> <%= command.id %> --tenant 7f9c… --environment production',
    "<%= config.bin %> <%= command.id %> --table leads --where \"status = 'lost'\" --columns status --from 20261122T020000Z-7f3a",
    '<%= config.bin %> <%= command.id %> --table leads --columns status --transaction 48211 --from postgres://copy.internal:5432/crm',
    '<%= config.bin %> <%= command.id %> --table invoices --from old-2026-11-01.sql.gz --merge side',
    '<%= config.bin %> <%= command.id %> --tenant 7f9c… --merge exact --confirm crm --no-input --json',
  ]
  static override exitCodes = Object.values(ExitCode).filter((code) => code !== ExitCode.objective)
  static override flags = {
    table: Flags.string({char: 't', description: 'a table or a partition, with or without its schema; may be given several times', helpValue: 'TABLE', multiple: true, multipleNonGreedy: true}),
    tenant: Flags.string({description: 'every row of this tenant, in all tables; with --table only in those', helpValue: 'ID'}),
    where: Flags.string({description: 'only rows for which this holds, live or in the backup; with one --table', helpValue: 'SQL'}),
    transaction: Flags.string({description: 'only rows that this transaction was the last to write: dr investigate names it', helpValue: 'XID'}),
    columns: Flags.string({description: 'put back only these columns, of rows that are still there', helpValue: 'A,B'}),
    relink: Flags.boolean({description: 'also the links to these rows that their deletion has set to NULL'}),
    'with-parents': Flags.boolean({description: 'also the rows that these refer to, where they are missing'}),
    from: Flags.string({description: 'label, latest, path of a backup or a dump, s3://BUCKET/KEY, postgres://… of a copy, or env:NAME of a variable with its URL; else latest', helpValue: 'SOURCE'}),
    merge: Flags.option({options: ['missing', 'changed', 'exact', 'side'] as const, description: 'insert missing rows; also put changed ones back; also delete those that the backup has not; or only leave the tables beside. Asked for without it'})(),
    stage: Flags.option({options: ['schema', 'database'] as const, description: 'where the rows of the backup are until you agree: in a schema of the live database, or in a database beside it, to which the live tables are copied to be compared; else schema'})(),
    sample: Flags.integer({description: 'show so many changed rows of each table; else 5', helpValue: 'N', min: 0, max: 1000}),
    watch: Flags.string({description: 'afterwards look at the features (checks.features) again and again, so long', helpValue: 'TIME'}),
    ...procedureFlags,
  }

  async run(): Promise<PartialResult | Plan> {
    const {flags} = await this.parse(Partial)
    const context = this.context(flags)
    const {composePartial} = await import('../lib/cli/partial.ts')
    const composed = await composePartial(context, {...flags, tables: flags.table ?? [], withParents: flags['with-parents'], way: flags.merge, resuming: this.resuming})
    try {
      const result = await this.runProcedure(composed.procedure, composed.state, flags, context)
      if (!isRun(result)) return result
      const {reportPartial} = await import('../lib/cli/partial-result.ts')
      const {result: report, exitCode} = await reportPartial(context, composed, result, {talk: (line) => { this.logToStderr('%s', line) }, print: (line) => { this.log('%s', line) }})
      if (exitCode !== ExitCode.ok) process.exitCode = exitCode
      return report
    } finally {
      await composed.close()
    }
  }
}
