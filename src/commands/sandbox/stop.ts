import {BaseCommand} from '../../lib/cli/base-command.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {SandboxStatus} from '../../lib/sandbox/sandbox.ts'

export type SandboxStopResult = SandboxStatus

export default class SandboxStop extends BaseCommand {
  static override summary = 'Stop the sandbox; its data stays'
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.locked]
  static override examples = ['<%= config.bin %> <%= command.id %>']

  async run(): Promise<SandboxStopResult> {
    const {flags} = await this.parse(SandboxStop)
    const context = this.context(flags)
    const {sandboxDirectory, stopSandbox} = await import('../../lib/sandbox/sandbox.ts')
    const status = await stopSandbox(sandboxDirectory(context.dataDir))
    context.print(status.services.length === 0 ? `There is no sandbox in ${status.directory}.` : 'The sandbox is stopped. Its data stays: dr sandbox start goes on with it, dr sandbox reset begins anew.')
    return status
  }
}
