import {Args} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {procedureFlags} from '../lib/cli/flags.ts'
import {isRun, type RunResult} from '../lib/cli/run-procedure.ts'
import type {RevertedResult} from '../lib/cli/undo.ts'
import type {SwapResult} from '../lib/cli/swap.ts'
import type {Finding} from '../lib/checks/finding.ts'
import {ExitCode} from '../lib/errors.ts'
import type {StandingState} from '../lib/procedures/swap/standing.ts'
import type {Plan} from '../lib/runbook/plan.ts'

export interface UndoResult {
  /** The live database. */
  database: string
  /** The name that it had until now. */
  broughtBack: string
  swap: SwapResult
  findings: Finding[]
  run: string
  journal: string
}

export default class Undo extends BaseCommand {
  static override summary = 'Take back the last swap or partial restore'
  static override description = 'Of a partial restore every row that it touched is put back as it was, unless somebody has changed one since: then nothing is done, and the row is named. Of a swap the old database is brought back: the database that is live now is kept in turn, so that an undo can be undone. What was written since the swap stays in it; how much that is, is shown before anything happens. Prints the name of the live database.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> 20261122T100824Z-restore-4a9e', '<%= config.bin %> <%= command.id %> 20261122T101942Z-partial-2827', '<%= config.bin %> <%= command.id %> --plan']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.locked, ExitCode.declined, ExitCode.interrupted]
  static override args = {run: Args.string({ignoreStdin: true, description: 'the run whose swap or partial restore is undone, or the kept database; else the last one'})}
  static override flags = {plan: procedureFlags.plan, confirm: procedureFlags.confirm, yes: procedureFlags.yes}

  async run(): Promise<UndoResult | RevertedResult | Plan> {
    const {args, flags} = await this.parse(Undo)
    const context = this.context(flags)
    const {composeAnyUndo, revertReport} = await import('../lib/cli/undo.ts')
    const {what, composed} = await composeAnyUndo(context, args.run, {plan: flags.plan, answered: flags.yes || flags.confirm !== undefined, drVersion: this.config.version})
    try {
      if (what === 'swap') {
        const result = await this.runProcedure(composed.procedure, composed.state, flags, context)
        return isRun(result) ? await this.report(result) : result
      }
      const result = await this.runProcedure(composed.procedure, composed.state, flags, context)
      return isRun(result) ? await revertReport(result, (line) => { if (!this.jsonEnabled()) this.logToStderr('%s', line) }) : result
    } finally {
      await composed.close()
    }
  }

  private async report({state, run, journal}: RunResult<StandingState>): Promise<UndoResult> {
    const {swapReport, swapResult} = await import('../lib/cli/swap.ts')
    if (!this.jsonEnabled()) for (const line of await swapReport(state, `what ${state.label} was`, run)) this.logToStderr('%s', line)
    this.log('%s', state.live)
    return {database: state.live, broughtBack: state.label, swap: swapResult(state.swap), findings: state.findings, run, journal}
  }
}
