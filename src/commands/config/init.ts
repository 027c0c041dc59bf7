import {Flags} from '@oclif/core'
import {ExitCode} from '../../lib/errors.ts'
import {BaseCommand} from '../../lib/cli/base-command.ts'

export interface ConfigInitResult {
  /** Absolute path of the file that was written. */
  file: string
  environment: string
}

export default class ConfigInit extends BaseCommand {
  static override summary = 'Write a commented dr.config.yaml'
  static override description = 'Writes it into the working directory, or where --config says. Every setting stands in it as a comment.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --environment production']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight]
  static override flags = {force: Flags.boolean({char: 'f', description: 'overwrite an existing file'})}

  async run(): Promise<ConfigInitResult> {
    const {flags} = await this.parse(ConfigInit)
    const {writeConfigFile} = await import('../../lib/config/init.ts')
    const result = await writeConfigFile({file: flags.config, cwd: process.cwd(), environment: flags.environment ?? process.env.DR_ENVIRONMENT, force: flags.force})
    this.log(`Wrote ${result.file} for ${result.environment}. See every setting: ${this.config.bin} config show`)
    return result
  }
}
