import {Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {environments} from '../lib/config/config.ts'
import {ExitCode} from '../lib/errors.ts'
import type {BackupList} from '../lib/procedures/list.ts'

export interface ListResult extends BackupList {
  environment: string
  objective: {rpoSeconds: number}
  newestGoodAgeSeconds: number | null
  breached: boolean
}

export default class List extends BaseCommand {
  static override summary = 'List the backups, newest first'
  static override description = 'Backups that lie locally and in S3 are one row. Also lists dumps that dr did not make: under the old prefix of the bucket, and loose in the local folder. LEVEL: stored (its bytes were proven when it was made), verified (dr verify --level full), drilled (really restored); suspect or unreadable ones are not to be relied on.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --s3 --environment production', '<%= config.bin %> <%= command.id %> --all --level suspect --level unreadable', '<%= config.bin %> <%= command.id %> --json --limit 1']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.unreachable]
  static override hiddenAliases = ['restore:list']
  static override flags = {
    s3: Flags.boolean({description: 'only what lies in the S3 bucket; with --local both'}),
    local: Flags.boolean({description: 'only what lies in the local folder'}),
    all: Flags.boolean({char: 'a', description: 'every environment'}),
    limit: Flags.integer({description: 'at most so many, else 50; 0 for all', helpValue: 'N', min: 0}),
    level: Flags.option({options: ['stored', 'verified', 'drilled', 'suspect', 'unreadable'] as const, multiple: true})({description: 'only backups of this level; may be given several times', helpValue: 'LEVEL'}),
    unfinished: Flags.boolean({description: 'also what interrupted or running backups have stored so far'}),
  }

  async run(): Promise<ListResult> {
    const {flags} = await this.parse(List)
    const others = flags.all ? environments.map((environment) => this.context({...flags, environment})) : []
    const context = this.context(flags)
    const [{listedEnvironment}, {listBackups}, config, signal] = await Promise.all([import('../lib/cli/list.ts'), import('../lib/procedures/list.ts'), context.config(), context.signal()])
    const listed = await Promise.all((flags.all ? others : [context]).map((one) => listedEnvironment(one, flags)))
    try {
      const now = new Date()
      const list = await listBackups({environments: listed, limit: flags.limit ?? 50, levels: flags.level, unfinished: flags.unfinished, now, signal})
      const objective = list.objectives.find(({environment}) => environment === config.environment)
      const {rpoSeconds} = config.objectives
      const result: ListResult = {environment: config.environment, objective: {rpoSeconds}, newestGoodAgeSeconds: objective?.newestGoodAgeSeconds ?? null, breached: objective?.breached ?? true, ...list}
      await this.show(result, {all: flags.all, filtered: flags.level !== undefined, complete: list.unreachable.length === 0}, now)
      return result
    } finally {
      for (const {storages, foreign} of listed) for (const storage of [...storages, ...foreign.map((place) => place.storage)]) await storage.close()
    }
  }

  private async show(list: ListResult, how: {all: boolean; filtered: boolean; complete: boolean}, now: Date): Promise<void> {
    const [{backupListLines}, {columnsOf}, {redact}] = await Promise.all([import('../lib/ui/backup-list.ts'), import('../lib/ui/text.ts'), import('../lib/system/redact.ts')])
    for (const line of backupListLines({...list, ...how}, now, process.stdout.isTTY ? columnsOf(process.stdout) : undefined)) this.log('%s', redact(line))
    for (const notice of list.notices) this.logToStderr('%s', redact(notice))
    for (const {location, message, hints} of list.unreachable) {
      process.exitCode = ExitCode.unreachable
      this.logToStderr('%s', redact(`Error: ${location} is not in this list: ${message}`))
      for (const hint of hints) this.logToStderr('%s', redact(`  Hint: ${hint}`))
    }
  }
}
