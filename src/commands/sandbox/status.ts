import {BaseCommand} from '../../lib/cli/base-command.ts'
import {statusLines} from '../../lib/cli/sandbox.ts'
import type {SandboxStatus} from '../../lib/sandbox/sandbox.ts'

export type SandboxStatusResult = SandboxStatus

export default class SandboxStatusCommand extends BaseCommand {
  static override summary = 'Show what of the sandbox runs, and where'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --json']

  async run(): Promise<SandboxStatusResult> {
    const {flags} = await this.parse(SandboxStatusCommand)
    const context = this.context(flags)
    const {sandboxDirectory, sandboxStatus} = await import('../../lib/sandbox/sandbox.ts')
    const status = await sandboxStatus(sandboxDirectory(context.dataDir))
    for (const line of statusLines(status)) context.print(line)
    return status
  }
}
