import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {procedureFlags} from '../../lib/cli/flags.ts'
import type {CutoverResult} from '../../lib/cli/pitr-cutover.ts'
import {isRun} from '../../lib/cli/run-procedure.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export default class Cutover extends BaseCommand {
  static override summary = 'Have a restored copy take the place of the production instance'
  static override description = 'Shows both instances, what would be lost and how long it takes, and asks for the name of the production instance. Then writes to the old one are stopped, a snapshot of it is taken, and clients are led to the copy: by rename (same address, two renames of about 10 minutes each), by the RDS Proxy, or by rds.switchCommand. Nothing is deleted; dr pitr rollback goes back from wherever it has come to, also from another machine. Prints the name of the live instance.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> crm-prod-pitr-20261122090000 --mode proxy', '<%= config.bin %> <%= command.id %> --plan', '<%= config.bin %> <%= command.id %> crm-prod-pitr-20261122090000 --confirm crm-prod --no-input --json']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.declined, ExitCode.interrupted]
  static override args = {target: Args.string({ignoreStdin: true, description: 'the copy; else the only one that dr has made to take that place'})}
  static override flags = {
    mode: Flags.option({options: ['rename', 'url', 'proxy'] as const, description: 'how clients come to the copy; else rename'})(),
    source: Flags.string({description: 'the production instance; else rds.instance', helpValue: 'ID'}),
    freeze: Flags.boolean({allowNo: true, description: 'stop writes to the old instance first (the default)'}),
    snapshot: Flags.boolean({allowNo: true, description: 'take a snapshot of the old instance first (the default)'}),
    'keep-frozen': Flags.boolean({allowNo: true, description: 'leave the old instance read-only (the default unless it is renamed)'}),
    'accept-pending': Flags.boolean({description: 'changes that wait for the maintenance window may be made now'}),
    accept: Flags.boolean({description: 'go on although settings of the copy are less than those of the old instance'}),
    plan: procedureFlags.plan, confirm: procedureFlags.confirm, yes: procedureFlags.yes,
  }

  async run(): Promise<CutoverResult | Plan> {
    const {args, flags} = await this.parse(Cutover)
    const context = this.context(flags)
    const {composeCutover, cutoverReport, cutoverResult} = await import('../../lib/cli/pitr-cutover.ts')
    const {procedure, state, close} = await composeCutover(context, args.target, flags)
    try {
      const ran = await this.runProcedure(procedure, state, flags, context)
      if (!isRun(ran)) return ran
      const result = cutoverResult(ran, flags)
      if (!this.jsonEnabled()) for (const line of await cutoverReport(result)) this.logToStderr('%s', line)
      this.log('%s', result.live.instance)
      return result
    } finally {
      close()
    }
  }
}
