import {BaseCommand} from '../../lib/cli/base-command.ts'
import {sandboxFlags, sandboxOptions, statusLines} from '../../lib/cli/sandbox.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {SandboxStatus} from '../../lib/sandbox/sandbox.ts'

export type SandboxResetResult = SandboxStatus

export default class SandboxReset extends BaseCommand {
  static override summary = 'Delete the sandbox, backups in it included, and start a new one'
  static override description = 'Deletes only folders that dr sandbox made, and asks nothing.'
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.locked]
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --rows 200000 --major 17']
  static override flags = sandboxFlags

  async run(): Promise<SandboxResetResult> {
    const {flags} = await this.parse(SandboxReset)
    const context = this.context(flags)
    const {resetSandbox, sandboxDirectory} = await import('../../lib/sandbox/sandbox.ts')
    const status = await resetSandbox(sandboxDirectory(context.dataDir), sandboxOptions(flags, await context.signal(), (line) => { this.logToStderr(line) }))
    for (const line of statusLines(status)) context.print(line)
    return status
  }
}
