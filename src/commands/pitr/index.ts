import {procedureFlags, recoveryFlags} from '../../lib/cli/flags.ts'
import type {RecoveryResult} from '../../lib/cli/pitr-result.ts'
import {RecoveryCommand} from '../../lib/cli/recovery-command.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export type {RecoveryResult} from '../../lib/cli/pitr-result.ts'

export default class Pitr extends RecoveryCommand {
  static override summary = 'Recover the RDS instance as it was at a time, into a new instance, watched and proven'
  static override description = 'Has AWS restore a copy with the settings of its source (AWS by itself would take defaults), waits for it, sets what a restore cannot, and compares it with the source. The source is not touched. Ctrl-C and lost connections end nothing at AWS: dr pitr resume goes on. Prints the name of the new instance.'
  static override examples = [
    "<%= config.bin %> <%= command.id %> --to '10 minutes ago' --environment production",
    '<%= config.bin %> <%= command.id %> --to 2026-11-22T14:00:00+05:00 --purpose side --class db.t4g.medium --security-group sg-0abc',
    '<%= config.bin %> <%= command.id %> --before-damage',
    '<%= config.bin %> <%= command.id %> --latest --source-resource-id db-ABCDEFGHIJKL --class db.m7g.large --security-group sg-0abc --parameter-group crm17 --subnet-group private',
  ]
  static override exitCodes = Object.values(ExitCode).filter((code) => code !== ExitCode.objective)
  static override flags = {...recoveryFlags, ...procedureFlags}

  async run(): Promise<RecoveryResult | Plan> {
    const {flags} = await this.parse(Pitr)
    const context = this.context(flags)
    const {composeRecovery, recoveryWish} = await import('../../lib/cli/pitr.ts')
    const talk = (line: string) => { this.logToStderr('%s', line) }
    return this.recover(await composeRecovery(context, {wish: () => recoveryWish(context, flags, new Date(), talk), plan: flags.plan, resuming: this.resuming}), flags, context)
  }
}
