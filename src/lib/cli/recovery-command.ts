import type {Plan} from '../runbook/plan.ts'
import {BaseCommand} from './base-command.ts'
import type {Context} from './context.ts'
import type {ComposedRecovery} from './pitr.ts'
import type {RecoveryResult} from './pitr-result.ts'
import {isRun, type RunFlags} from './run-procedure.ts'

/** What the commands have in common that ask for a recovery or go on with one. */
export abstract class RecoveryCommand extends BaseCommand {
  /** Performs it, and reports: the name of the new instance alone on stdout; findings and what may come next on stderr. */
  protected async recover(composed: ComposedRecovery, flags: RunFlags, context: Context): Promise<RecoveryResult | Plan> {
    try {
      const performed = await this.runProcedure(composed.procedure, composed.state, flags, context)
      if (!isRun(performed)) return performed
      const {exitOf, recoveryReport, recoveryResult} = await import('./pitr-result.ts')
      const result = recoveryResult(performed)
      if (!this.jsonEnabled()) for (const line of await recoveryReport(result)) this.logToStderr('%s', line)
      this.log('%s', result.target)
      const exitCode = exitOf(result)
      if (exitCode !== 0) process.exitCode = exitCode
      return result
    } finally {
      await composed.close()
    }
  }
}
