import {ExitCode} from '../../lib/errors.ts'
import {BaseCommand} from '../../lib/cli/base-command.ts'

export default class ConfigSchema extends BaseCommand {
  static override summary = 'Print the JSON Schema of dr.config.yaml, for editors'
  static override examples = ['<%= config.bin %> <%= command.id %> > dr.config.schema.json']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage]

  async run(): Promise<object> {
    await this.parse(ConfigSchema)
    const {fileJsonSchema} = await import('../../lib/config/schema.ts')
    const schema = fileJsonSchema()
    this.log('%s', JSON.stringify(schema, null, 2))
    return schema
  }
}
