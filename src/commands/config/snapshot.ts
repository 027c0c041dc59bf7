import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {SavedSettings} from '../../lib/procedures/instance-settings/save.ts'
import type {InstanceDocument} from '../../lib/repository/instance-settings.ts'

export interface ShownSettings {
  location: string
  label: string
  /** Newer ones that are damaged, and places that could not be read. */
  passedOver: {location: string; message: string}[]
  document: InstanceDocument
}

export default class ConfigSnapshot extends BaseCommand {
  static override summary = 'Save the settings of the RDS instance beside the backups'
  static override description = 'An instance that is deleted takes its settings with it. Saves all that AWS says of it, with what was set in its parameter groups, so that it can be made anew. No passwords: AWS tells none.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --source crm-prod --s3', '<%= config.bin %> <%= command.id %> --show latest']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.incomplete]
  static override flags = {
    source: Flags.string({description: 'the instance; else rds.instance', helpValue: 'ID'}),
    s3: Flags.boolean({description: 'in the S3 bucket; with --local in both, without either where backups are stored'}),
    local: Flags.boolean({description: 'in the local folder'}),
    show: Flags.string({description: 'print what was saved instead: latest, or the label of a snapshot', helpValue: 'WHICH'}),
  }

  async run(): Promise<SavedSettings | ShownSettings> {
    const {flags} = await this.parse(ConfigSnapshot)
    const context = this.context(flags)
    const {saveSettings, savedSettings} = await import('../../lib/cli/config-snapshot.ts')
    if (flags.show === undefined) return this.report(await saveSettings(context, flags, this.config.version))
    const {document, label, location, passedOver} = await savedSettings(context, flags, flags.show)
    for (const {location: place, message} of passedOver) this.logToStderr('%s', `Passed over ${place}: ${message}`)
    this.logToStderr('%s', location)
    context.print(JSON.stringify(document, undefined, 2))
    return {location, label, passedOver, document}
  }

  private async report(result: SavedSettings): Promise<SavedSettings> {
    const {shownProof} = await import('../../lib/cli/config-snapshot.ts')
    for (const {location, proof} of result.saved) this.log('%s', `Saved ${location} (${shownProof(proof)})`)
    for (const {what, why} of result.missing) this.logToStderr('%s', `Not in it: ${what}. ${why}`)
    for (const {destination, message} of result.failures) this.logToStderr('%s', `Not at ${destination}: ${message}`)
    if (result.failures.length + result.missing.length > 0) process.exitCode = ExitCode.incomplete
    return result
  }
}
