import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {procedureFlags} from '../../lib/cli/flags.ts'
import type {RollbackResult} from '../../lib/cli/pitr-cutover.ts'
import {isRun} from '../../lib/cli/run-procedure.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export default class Rollback extends BaseCommand {
  static override summary = 'Bring back the instance that a cut-over has replaced'
  static override description = 'From wherever a cut-over has come to: what has been done is read from the tags that it has set at AWS, so that no journal is needed. The new instance is kept under another name, with what was written on it; how much that is, is shown before anything happens. Run again after a failure, it goes on from what it finds. Prints the name of the production instance.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> 20261122T101942Z-pitr-cutover-2827', '<%= config.bin %> <%= command.id %> --plan', '<%= config.bin %> <%= command.id %> --confirm crm-prod --no-input']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.declined, ExitCode.interrupted]
  static override args = {run: Args.string({ignoreStdin: true, description: 'the run of the cut-over; else the one that is in place'})}
  static override flags = {
    source: Flags.string({description: 'the production instance; else rds.instance', helpValue: 'ID'}),
    'by-hand': Flags.boolean({description: 'the application is pointed at the old instance by hand, though the cut-over did it by rds.switchCommand'}),
    plan: procedureFlags.plan, confirm: procedureFlags.confirm, yes: procedureFlags.yes,
  }

  async run(): Promise<RollbackResult | Plan> {
    const {args, flags} = await this.parse(Rollback)
    const context = this.context(flags)
    const {composeRollback, rollbackReport, rollbackResult} = await import('../../lib/cli/pitr-cutover.ts')
    const {procedure, state, close} = await composeRollback(context, args.run, flags)
    try {
      const ran = await this.runProcedure(procedure, state, flags, context)
      if (!isRun(ran)) return ran
      const result = rollbackResult(ran)
      if (!this.jsonEnabled()) for (const line of rollbackReport(result)) this.logToStderr('%s', line)
      this.log('%s', result.instance)
      return result
    } finally {
      close()
    }
  }
}
