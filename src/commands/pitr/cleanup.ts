import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {procedureFlags} from '../../lib/cli/flags.ts'
import {isRun} from '../../lib/cli/run-procedure.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {CleanupState} from '../../lib/procedures/pitr/cleanup.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export interface CleanupResult extends Omit<CleanupState, 'environment'> {
  run: string
  journal: string
}

export default class Cleanup extends BaseCommand {
  static override summary = 'Delete restored copies that are not needed'
  static override description = 'Without names every copy that was made to be looked at. Only what bears dr’s tags is ever deleted, and never the production instance, nor one in a cut-over. A copy that was made to take a place goes only by name, and what a cut-over has replaced only by name, with --replaced, and after the retention; of both a final snapshot is taken. Automated backups are kept, always. Prints the names of those that were deleted.'
  static override examples = ['<%= config.bin %> <%= command.id %> --plan', '<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> crm-prod-old-20261122101942 --replaced --unprotect']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.unreachable, ExitCode.incomplete, ExitCode.declined, ExitCode.interrupted]
  static override strict = false
  static override args = {instance: Args.string({ignoreStdin: true, description: 'the copies, any number; else every side copy'})}
  static override flags = {
    replaced: Flags.boolean({description: 'also an instance that a cut-over has replaced, when it is named and older than the retention'}),
    unprotect: Flags.boolean({description: 'take the protection against deletion away first'}),
    plan: procedureFlags.plan, confirm: procedureFlags.confirm, yes: procedureFlags.yes,
  }

  async run(): Promise<CleanupResult | Plan> {
    const {argv, flags} = await this.parse(Cleanup)
    const context = this.context(flags)
    const {cleanupReport, composeCleanup} = await import('../../lib/cli/pitr-cleanup.ts')
    const {procedure, state, close} = await composeCleanup(context, argv.map(String), flags)
    try {
      const ran = await this.runProcedure(procedure, state, flags, context)
      if (!isRun(ran)) return ran
      const {instances, removed, failed} = ran.state
      if (!this.jsonEnabled()) for (const line of cleanupReport(ran.state)) this.logToStderr('%s', line)
      for (const name of removed) this.log('%s', name)
      if (failed.length > 0) process.exitCode = ExitCode.incomplete
      return {instances, removed, failed, run: ran.run, journal: ran.journal}
    } finally {
      close()
    }
  }
}
