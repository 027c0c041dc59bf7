import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'

/** Variable to value. The secrets in it belong to the sandbox alone. */
export type SandboxEnvResult = Record<string, string>

export default class SandboxEnv extends BaseCommand {
  static override summary = 'Print the variables that point dr, psql and aws at the sandbox'
  static override examples = ['eval "$(<%= config.bin %> <%= command.id %>)"', '<%= config.bin %> <%= command.id %> --shell fish | source', '<%= config.bin %> <%= command.id %> --json']
  static override flags = {
    shell: Flags.string({description: 'language of the lines: sh for sh, bash and zsh', options: ['sh', 'fish'], default: 'sh'}),
  }

  async run(): Promise<SandboxEnvResult> {
    const {flags} = await this.parse(SandboxEnv)
    const context = this.context(flags)
    const [{sandboxDirectory, sandboxEnvironment}, {shellQuote}] = await Promise.all([import('../../lib/sandbox/sandbox.ts'), import('../../lib/ui/shell.ts')])
    const variables = await sandboxEnvironment(sandboxDirectory(context.dataDir))
    for (const [name, value] of Object.entries(variables)) {
      context.print(flags.shell === 'fish' ? `set -gx ${name} ${shellQuote(value)}` : `export ${name}=${shellQuote(value)}`)
    }
    return variables
  }
}
