import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {recoveryFlags} from '../../lib/cli/flags.ts'
import type {RecoveryPlanResult} from '../../lib/cli/pitr-plan.ts'
import {ExitCode} from '../../lib/errors.ts'

export type {RecoveryPlanResult} from '../../lib/cli/pitr-plan.ts'

export default class PitrPlan extends BaseCommand {
  static override summary = 'Show what a point-in-time recovery would ask of AWS, setting by setting'
  static override description = 'For every input of the API: what the source has, what AWS would do by itself, and what dr sends; what is set afterwards; warnings; and the same as aws commands. Changes nothing at AWS.'
  static override examples = ["<%= config.bin %> <%= command.id %> --to '10 minutes ago'", '<%= config.bin %> <%= command.id %> --latest --out plan.json', '<%= config.bin %> <%= command.id %> --to 2026-11-22T09:00:00Z --json']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.unreachable]
  static override flags = {...recoveryFlags, out: Flags.string({char: 'o', description: 'write the plan into this file, for dr pitr apply', helpValue: 'FILE'})}

  async run(): Promise<RecoveryPlanResult> {
    const {flags} = await this.parse(PitrPlan)
    const context = this.context(flags)
    const [{recoveryWish}, {makePlan, planReport}] = await Promise.all([import('../../lib/cli/pitr.ts'), import('../../lib/cli/pitr-plan.ts')])
    const now = new Date()
    const result = await makePlan(context, await recoveryWish(context, flags, now, (line) => { this.logToStderr('%s', line) }), flags.out)
    for (const line of await planReport(result, now)) this.log('%s', line)
    if (result.file !== null) this.logToStderr('%s', `Written: ${result.file}\nTo carry it out: dr pitr apply ${result.file}`)
    return result
  }
}
