import {ExitCode} from '../../lib/errors.ts'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import type {ShownSetting} from '../../lib/config/present.ts'

export interface ConfigShowResult {
  environment: string
  /** Absolute path of the file that was read. */
  file?: string
  settings: ShownSetting[]
}

export default class ConfigShow extends BaseCommand {
  static override summary = 'Show each setting, and where its value comes from'
  static override description = 'Flags come before environment variables, these before dr.config.yaml, this before the defaults of the environment. Secrets are masked.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --environment production --json']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight]

  async run(): Promise<ConfigShowResult> {
    const {flags} = await this.parse(ConfigShow)
    const context = this.context(flags)
    const [{shownSettings}, {settingsLines}] = await Promise.all([import('../../lib/config/present.ts'), import('../../lib/ui/settings.ts')])
    const loaded = await context.loadedConfig()
    const settings = shownSettings(loaded)
    for (const line of settingsLines(settings, loaded.file)) context.print(line)
    return {environment: loaded.config.environment, ...(loaded.file !== undefined && {file: loaded.file}), settings}
  }
}
