import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {archiveFlags, procedureFlags, replaceFlags} from '../../lib/cli/flags.ts'
import {isRun, type RunResult} from '../../lib/cli/run-procedure.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {RestoreResult} from '../../lib/cli/restore-result.ts'
import type {RestoreState} from '../../lib/procedures/restore/options.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export type {RestoreResult} from '../../lib/cli/restore-result.ts'

export default class Restore extends BaseCommand {
  static override summary = 'Restore a backup, or any other dump, into a new database, and compare it with what was backed up'
  static override description = 'The live database is not touched, unless --swap puts the new one in its place: then the old one is kept, and dr undo brings it back. From S3 the first tables are loaded while later ones are still downloading. A dump that dr did not make (custom, tar or directory archive of pg_dump, plain SQL; bare, gzip, zstd or lz4) is known by its first bytes, and read to its end before a database is made. Prints the name of the new database.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> latest',
    '<%= config.bin %> <%= command.id %> 20261122T020000Z-7f3a --into crm_check',
    '<%= config.bin %> <%= command.id %> --s3 latest --environment production',
    '<%= config.bin %> <%= command.id %> latest --swap --environment production',
    '<%= config.bin %> <%= command.id %> /mnt/disk/20261122T020000Z-7f3a --plan',
    '<%= config.bin %> <%= command.id %> --s3 backups/production-2026-01-01.sql.gz',
    'ssh db pg_dump -Fc crm | <%= config.bin %> <%= command.id %> -',
  ]
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.declined, ExitCode.interrupted]
  static override args = {backup: Args.string({ignoreStdin: true, description: 'label, latest, path of a backup or a dump, s3://BUCKET/KEY, or - for standard input; else latest'})}
  static override flags = {
    s3: Flags.string({description: 'take it from the bucket: a label, a key or latest', helpValue: 'KEY'}),
    into: Flags.string({description: 'name of the new database; else the live one’s with _restore_ and the time', helpValue: 'NAME'}),
    jobs: Flags.integer({char: 'j', description: 'tables loaded at once; else the number of cores', helpValue: 'N', min: 1, max: 64}),
    ...archiveFlags,
    digest: Flags.boolean({description: 'compare the digest of every table; else when the backup has them', allowNo: true}),
    ...replaceFlags,
    plan: procedureFlags.plan,
  }

  async run(): Promise<RestoreResult | Plan> {
    const {args, flags} = await this.parse(Restore)
    const context = this.context(flags, {'restore.jobs': flags.jobs})
    const {composeRestore} = await import('../../lib/cli/restore.ts')
    const wish = {...flags, drVersion: this.config.version}
    const {procedure, state, close} = await composeRestore(context, {
      backup: args.backup, s3: flags.s3, into: flags.into, digest: flags.digest, plan: flags.plan, resuming: this.resuming, ...(flags.swap && {swap: wish}),
      roleMap: flags['role-map'], createRoles: flags['create-roles'], skip: flags.skip,
      ...(flags['in-place'] && {inPlace: {...wish, safety: flags.safety ?? 'backup'}}),
    })
    try {
      const result = await this.runProcedure(procedure, state, flags, context)
      return isRun(result) ? await this.report(result) : result
    } finally {
      await close()
    }
  }

  /** The name alone on stdout; findings and what may come next on stderr. */
  private async report(performed: RunResult<RestoreState>): Promise<RestoreResult> {
    const [{restoreReport}, {restoreResult}] = await Promise.all([import('../../lib/cli/restore-report.ts'), import('../../lib/cli/restore-result.ts')])
    const result = restoreResult(performed)
    if (!this.jsonEnabled()) for (const line of await restoreReport(performed.state, performed.run)) this.logToStderr('%s', line)
    this.log('%s', result.database)
    if (result.outcome === 'failed') process.exitCode = ExitCode.verification
    return result
  }
}
