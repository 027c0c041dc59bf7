import {Args, Flags} from '@oclif/core'
import {procedureFlags} from '../../lib/cli/flags.ts'
import type {RecoveryResult} from '../../lib/cli/pitr-result.ts'
import {RecoveryCommand} from '../../lib/cli/recovery-command.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export default class PitrApply extends RecoveryCommand {
  static override summary = 'Carry out a plan of dr pitr plan --out, exactly as it stands'
  static override description = 'Refuses a file that was changed after dr wrote it, and one whose source has other settings now.'
  static override examples = ['<%= config.bin %> <%= command.id %> plan.json', '<%= config.bin %> <%= command.id %> plan.json --confirm crm-prod-pitr-20261122090000 --no-input --json']
  static override exitCodes = Object.values(ExitCode).filter((code) => code !== ExitCode.objective)
  static override args = {file: Args.string({ignoreStdin: true, required: true, name: 'FILE', description: 'what dr pitr plan --out wrote'})}
  static override flags = {'accept-changes': Flags.boolean({description: 'ask for what was planned although the source has other settings now'}), ...procedureFlags}

  async run(): Promise<RecoveryResult | Plan> {
    const {args, flags} = await this.parse(PitrApply)
    const context = this.context(flags)
    const [{composeRecovery}, {expectedPlan}] = await Promise.all([import('../../lib/cli/pitr.ts'), import('../../lib/cli/pitr-plan.ts')])
    const {resuming} = this
    // An earlier process of this run has the plan in its journal.
    const read = resuming === undefined ? await expectedPlan(context, args.file, flags['accept-changes']) : undefined
    return this.recover(await composeRecovery(context, {wish: async () => (read ?? await expectedPlan(context, args.file, false)).wish, plan: flags.plan, resuming, ...(read && {expected: read.expected})}), flags, context)
  }
}
