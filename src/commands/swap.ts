import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {procedureFlags, swapFlags} from '../lib/cli/flags.ts'
import {isRun, type RunResult} from '../lib/cli/run-procedure.ts'
import type {SwapResult} from '../lib/cli/swap.ts'
import type {Finding} from '../lib/checks/finding.ts'
import {ExitCode} from '../lib/errors.ts'
import type {StandingState} from '../lib/procedures/swap/standing.ts'
import type {Plan} from '../lib/runbook/plan.ts'

export interface StandingSwapResult {
  /** The live database. */
  database: string
  /** The name that it had until now. */
  swappedIn: string
  swap: SwapResult
  findings: Finding[]
  run: string
  journal: string
}

export default class Swap extends BaseCommand {
  static override summary = 'Put a restored database in the live one’s place'
  static override description = 'For a database that dr restore has made and that was looked at since. The old one is kept, and dr undo brings it back. Prints the name of the live database.'
  static override examples = ['<%= config.bin %> <%= command.id %> crm_restore_20261122100824', '<%= config.bin %> <%= command.id %> crm_restore_20261122100824 --confirm crm --no-input', '<%= config.bin %> <%= command.id %> crm_check --plan']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.declined, ExitCode.interrupted]
  static override args = {database: Args.string({ignoreStdin: true, required: true, description: 'the database that is to be live'})}
  static override flags = {
    accept: Flags.boolean({description: 'go on although not everything is as it should be'}),
    safety: swapFlags.safety, confirm: procedureFlags.confirm, yes: procedureFlags.yes, plan: procedureFlags.plan,
  }

  async run(): Promise<StandingSwapResult | Plan> {
    const {args, flags} = await this.parse(Swap)
    const context = this.context(flags)
    const {composeStandingSwap} = await import('../lib/cli/standing.ts')
    const {procedure, state, close} = await composeStandingSwap(context, args.database, {...flags, drVersion: this.config.version})
    try {
      const result = await this.runProcedure(procedure, state, flags, context)
      return isRun(result) ? await this.report(result) : result
    } finally {
      await close()
    }
  }

  private async report({state, run, journal}: RunResult<StandingState>): Promise<StandingSwapResult> {
    const {swapReport, swapResult} = await import('../lib/cli/swap.ts')
    if (!this.jsonEnabled()) for (const line of await swapReport(state, `what ${state.label} was`, run)) this.logToStderr('%s', line)
    this.log('%s', state.live)
    return {database: state.live, swappedIn: state.label, swap: swapResult(state.swap), findings: state.findings, run, journal}
  }
}
