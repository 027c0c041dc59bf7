import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {ExitCode} from '../../lib/errors.ts'
import type {RecoveryList} from '../../lib/report/recovery-list.ts'

export default class PitrList extends BaseCommand {
  static override summary = 'List restore windows, retained backups, and the copies that dr made'
  static override description = 'LATEST should be five minutes old at most: more means that the archive lags.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> --source crm-prod --json']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.unreachable]
  static override flags = {source: Flags.string({description: 'only what is about this instance', helpValue: 'ID'})}

  async run(): Promise<RecoveryList> {
    const {flags} = await this.parse(PitrList)
    const context = this.context(flags)
    const [{openRds}, {listRecovery}, {recoveryListLines}, {columnsOf}, {redact}] = await Promise.all([import('../../lib/cli/rds.ts'), import('../../lib/procedures/pitr/list.ts'), import('../../lib/ui/recovery.ts'), import('../../lib/ui/text.ts'), import('../../lib/system/redact.ts')])
    const rds = await openRds(context)
    try {
      const list = await listRecovery({...rds, journals: context.journalDirectory}, flags.source, await context.signal())
      for (const line of recoveryListLines(list, new Date(), process.stdout.isTTY ? columnsOf(process.stdout) : undefined)) this.log('%s', redact(line))
      return list
    } finally {
      rds.close()
    }
  }
}
