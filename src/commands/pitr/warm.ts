import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import type {WarmResult} from '../../lib/cli/pitr-warm.ts'
import {isRun} from '../../lib/cli/run-procedure.ts'
import {ExitCode} from '../../lib/errors.ts'

const MOST_JOBS = 64

export default class Warm extends BaseCommand {
  static override summary = 'Read a restored copy once, so that it is fast when clients come'
  static override description = 'AWS fills the volume of a restored instance from S3 when a block is first read, and until then every such read is slow. This reads tables, TOAST tables and indexes over several connections, and changes nothing in the database; at AWS a copy is marked as read when nothing was left out: where the extension pg_prewarm is installed, all of it; without it the tables alone, and what is left out is told. What is scanned most in the database of DATABASE_URL comes first, then what is largest. The exit code is 7 when a table or index could not be read.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> crm-prod-pitr-20261122090000 --jobs 8', '<%= config.bin %> <%= command.id %> crm-prod --tables top:20 --json']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.incomplete, ExitCode.interrupted]
  static override args = {instance: Args.string({ignoreStdin: true, description: 'the copy, or after a cut-over the production instance; not needed when there is one copy only'})}
  static override flags = {
    tables: Flags.string({description: 'all, or only the first N of that order', helpValue: 'all|top:N', default: 'all'}),
    jobs: Flags.integer({char: 'j', description: 'connections that read at the same time', helpValue: 'N', min: 1, max: MOST_JOBS, default: 4}),
  }

  async run(): Promise<WarmResult> {
    const {args, flags} = await this.parse(Warm)
    const context = this.context(flags)
    const {composeWarm, warmReport, warmResult} = await import('../../lib/cli/pitr-warm.ts')
    const {procedure, state, close} = await composeWarm(context, args.instance, flags)
    try {
      const ran = await this.runProcedure(procedure, state, {}, context)
      if (!isRun(ran)) throw new Error('There is no plan of reading.')
      const result = warmResult(ran.state, ran)
      for (const line of await warmReport(result)) this.log('%s', line)
      if (result.failed.length > 0) process.exitCode = ExitCode.incomplete
      return result
    } finally {
      close()
    }
  }
}
