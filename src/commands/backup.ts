import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {procedureFlags} from '../lib/cli/flags.ts'
import {isRun, type ProcedureResult} from '../lib/cli/run-procedure.ts'
import {ExitCode} from '../lib/errors.ts'
import type {BackupState} from '../lib/procedures/backup/options.ts'

export type BackupResult = ProcedureResult<BackupState>

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
    plan: procedureFlags.plan,
  }

  async run(): Promise<BackupResult> {
    const {flags} = await this.parse(Backup)
    const chosen = [...(flags.s3 ? ['s3'] : []), ...(flags.local ? ['local'] : [])]
    const context = this.context(flags, {
      'backup.destinations': chosen.length > 0 ? chosen : undefined, 'backup.jobs': flags.jobs, 'backup.compress': flags.compress, 'backup.digest': flags.digest,
    })
    const {composeBackup} = await import('../lib/cli/backup.ts')
    const {procedure, state, close} = await composeBackup(context, this.config.version, flags.plan)
    try {
      const result = await this.runProcedure(procedure, state, flags, context)
      if (isRun(result)) this.report(result.state)
      return result
    } finally {
      await close()
    }
  }

  /** The label alone on stdout; what went wrong beside it has been said on stderr. */
  private report({label, failures}: BackupState): void {
    this.log(label)
    if (failures.length > 0) process.exitCode = ExitCode.incomplete
  }
}
