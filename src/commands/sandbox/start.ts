import {BaseCommand} from '../../lib/cli/base-command.ts'
import {sandboxFlags, sandboxOptions, statusLines} from '../../lib/cli/sandbox.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {SandboxStatus} from '../../lib/sandbox/sandbox.ts'

export type SandboxStartResult = SandboxStatus

export default class SandboxStart extends BaseCommand {
  static override summary = 'Start a local PostgreSQL, S3 and RDS API with sample data, to practise on'
  static override description = 'Everything listens on 127.0.0.1 and lies in one folder. Starting a running sandbox changes nothing.'
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.locked]
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    {command: '<%= config.bin %> <%= command.id %> --rows 3200000', description: 'As large as production: 2.4 GB'},
    {command: 'eval "$(<%= config.bin %> sandbox env)"', description: 'Then work on it'},
  ]
  static override flags = sandboxFlags

  async run(): Promise<SandboxStartResult> {
    const {flags} = await this.parse(SandboxStart)
    const context = this.context(flags)
    const {sandboxDirectory, startSandbox} = await import('../../lib/sandbox/sandbox.ts')
    const status = await startSandbox(sandboxDirectory(context.dataDir), sandboxOptions(flags, await context.signal(), (line) => { this.logToStderr(line) }))
    for (const line of statusLines(status)) context.print(line)
    return status
  }
}
