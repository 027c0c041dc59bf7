import {Flags} from '@oclif/core'
import {BaseCommand} from '../../lib/cli/base-command.ts'
import {faultLines, faultOf, type FaultRule} from '../../lib/cli/sandbox.ts'
import {ExitCode} from '../../lib/errors.ts'

/** What goes wrong in the sandbox, with how often still. */
export type SandboxFaultResult = FaultRule[]

const what = ['code', 'ends-as', 'cut']

export default class SandboxFault extends BaseCommand {
  static override summary = "Let calls to the sandbox's RDS server go wrong; without flags: show what will"
  static override description = 'Each fault meets so many calls, and is gone then. Faults end with the server, too.'
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.unreachable]
  static override examples = [
    {command: '<%= config.bin %> <%= command.id %> --action RestoreDBInstanceToPointInTime --code AccessDenied', description: 'The next restore is denied'},
    {command: '<%= config.bin %> <%= command.id %> --action RestoreDBInstanceToPointInTime --ends-as incompatible-restore', description: 'It is taken, and ends in this status'},
    {command: '<%= config.bin %> <%= command.id %> --code Throttling --times 20', description: 'Whatever is asked, for a while'},
    '<%= config.bin %> <%= command.id %> --clear',
  ]
  static override flags = {
    action: Flags.string({description: "the API's name of the call; any when absent", helpValue: 'NAME'}),
    instance: Flags.string({description: 'only calls about this instance', helpValue: 'ID'}),
    code: Flags.string({description: 'the call is refused with this error code', helpValue: 'CODE', exclusive: ['ends-as', 'cut']}),
    'ends-as': Flags.string({description: 'the call is taken, and what it begins ends in this status', helpValue: 'STATUS', exclusive: ['code', 'cut']}),
    cut: Flags.boolean({description: 'the call is carried out, and the connection cut in place of a reply'}),
    times: Flags.integer({description: 'how many calls it meets (1)', min: 1, helpValue: 'N'}),
    clear: Flags.boolean({description: 'nothing goes wrong any more', exclusive: ['action', 'instance', 'times', ...what]}),
  }

  async run(): Promise<SandboxFaultResult> {
    const {flags} = await this.parse(SandboxFault)
    const context = this.context(flags)
    const [{addRdsFault, clearRdsFaults, rdsFaults}, {sandboxDirectory}] = await Promise.all([import('../../lib/sandbox/rds-faults.ts'), import('../../lib/sandbox/sandbox.ts')])
    const directory = sandboxDirectory(context.dataDir)
    const fault = faultOf(flags)
    const rules = flags.clear ? await clearRdsFaults(directory) : fault ? await addRdsFault(directory, fault) : await rdsFaults(directory)
    for (const line of faultLines(rules)) context.print(line)
    return rules
  }
}
