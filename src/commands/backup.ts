import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {procedureFlags} from '../lib/cli/flags.ts'
import {isRun, type RunResult} from '../lib/cli/run-procedure.ts'
import {ExitCode} from '../lib/errors.ts'
import type {BackupState} from '../lib/procedures/backup/options.ts'
import type {Plan} from '../lib/runbook/plan.ts'

/** `timings` are milliseconds; of the phases snapshot, count, dump and ship, the second and third run side by side. */
export interface BackupResult extends Omit<BackupState, 'tools' | 'server' | 'label'> {
  label: string
  serverVersion: string
  pgDump: string
  /** Of the whole run, preflight included. */
  totalMs: number
  run: string
  journal: string
}

export default class Backup extends BaseCommand {
  static override summary = 'Back up the database, and prove the backup at its destination'
  static override description = 'Dumps under one snapshot with pg_dump, uploads each table as soon as it is written, and writes the manifest last. Prints the label of the backup.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --s3',
    '<%= config.bin %> <%= command.id %> --s3 --local --environment production',
    '<%= config.bin %> <%= command.id %> --plan',
    'label=$(<%= config.bin %> <%= command.id %> --no-input)',
  ]
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.incomplete, ExitCode.interrupted]
  static override flags = {
    s3: Flags.boolean({description: 'store in the S3 bucket; with --local in both'}),
    local: Flags.boolean({description: 'store in the local folder'}),
    jobs: Flags.integer({char: 'j', description: 'tables dumped at once, at least 2; else the number of cores', helpValue: 'N', min: 1, max: 64}),
    compress: Flags.string({description: 'zstd[:LEVEL], gzip[:LEVEL] or none; else zstd:1 where pg_dump can, gzip:1 where not', helpValue: 'HOW'}),
    digest: Flags.boolean({description: 'note a digest of every table, so that a restore can be compared to the last bit', allowNo: true}),
    accept: Flags.boolean({description: 'call the backup good although a table is gone or empty, or the archive shrank, against the last good one'}),
    plan: procedureFlags.plan,
  }

  async run(): Promise<BackupResult | Plan> {
    const {flags} = await this.parse(Backup)
    const chosen = [...(flags.s3 ? ['s3'] : []), ...(flags.local ? ['local'] : [])]
    const context = this.context(flags, {
      'backup.destinations': chosen.length > 0 ? chosen : undefined, 'backup.jobs': flags.jobs, 'backup.compress': flags.compress, 'backup.digest': flags.digest,
    })
    const {composeBackup} = await import('../lib/cli/backup.ts')
    const backup = await composeBackup(context, this.config.version, flags, this.resuming)
    try {
      const result = await this.runProcedure(backup.procedure, backup.state, flags, context)
      return isRun(result) ? await this.report(result) : result
    } finally {
      await backup.close()
    }
  }

  /** The label alone on stdout; what went wrong beside it has been said on stderr. */
  private async report({state, run, journal, timings: {totalMs}}: RunResult<BackupState>): Promise<BackupResult> {
    const {backupReport} = await import('../lib/cli/backup.ts')
    const {tools, server, label = '', ...rest} = state
    if (!this.jsonEnabled()) for (const line of await backupReport(state, totalMs)) this.logToStderr('%s', line)
    this.log('%s', label)
    if (rest.failures.length > 0) process.exitCode = ExitCode.incomplete
    // Intact, but perhaps not what it should hold: a schedule must notice.
    if (rest.status === 'suspect') process.exitCode = ExitCode.verification
    return {label, ...rest, serverVersion: server?.version ?? '', pgDump: tools.version, totalMs, run, journal}
  }
}
