import {Args} from '@oclif/core'
import {PASSED_ON, procedureFlags} from '../../lib/cli/flags.ts'
import type {RecoveryResult} from '../../lib/cli/pitr-result.ts'
import {RecoveryCommand} from '../../lib/cli/recovery-command.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {Plan} from '../../lib/runbook/plan.ts'

export default class PitrResume extends RecoveryCommand {
  static override summary = 'Go on with a recovery that AWS is at work on: wait, set, prove'
  static override description = 'The journal of the run serves when it lies here; from another machine the copy is known by its marks. Safe to run again: what is so already is not asked for again.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> crm-prod-pitr-20261122090000 --environment production']
  static override exitCodes = Object.values(ExitCode).filter((code) => code !== ExitCode.objective)
  static override args = {target: Args.string({ignoreStdin: true, name: 'TARGET', description: 'the copy; not needed when there is one only'})}
  static override flags = procedureFlags

  async run(): Promise<RecoveryResult | Plan | undefined> {
    const {args, flags} = await this.parse(PitrResume)
    const context = this.context(flags)
    const {composeAdoption, openRecovery} = await import('../../lib/cli/pitr-resume.ts')
    const known = this.resuming || flags.plan ? undefined : await openRecovery(context, args.target)
    if (known !== undefined) return this.goOn(known, flags)
    return this.recover(await composeAdoption(context, args.target, this.resuming), flags, context)
  }

  /** Its command reports. */
  private async goOn(run: string, flags: {confirm?: string | undefined; yes?: boolean}): Promise<undefined> {
    const {openRun} = await import('../../lib/cli/resume.ts')
    const {command, resuming, close} = await openRun(this.context({}), run, flags)
    try {
      await this.again(command, resuming, PASSED_ON.filter((flag) => this.argv.includes(flag)))
    } finally {
      await close()
    }
  }
}
