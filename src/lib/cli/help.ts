import {CommandHelp, Help as OclifHelp, type Command} from '@oclif/core'
import {ExitCode, exitCodeMeaning} from '../errors.ts'

/** Examples come first, the exit codes last. */
class DrCommandHelp extends CommandHelp {
  protected override sections() {
    const sections = super.sections()
    const examples = sections.filter(({header}) => header === 'EXAMPLES')
    const rest = sections.filter(({header}) => header !== 'EXAMPLES')
    return [...examples, ...rest, {header: 'EXIT CODES', generate: () => exitCodes(this.command)}]
  }

  /** oclif repeats the summary here. */
  protected override description(): string | undefined {
    return this.command.description === undefined ? undefined : this.wrap(this.command.description)
  }
}

export default class Help extends OclifHelp {
  protected override CommandHelpClass = DrCommandHelp
}

/** Only our own commands state theirs; 130 belongs to every one. */
function exitCodes(command: Command.Loadable): {header: string; body: [string, string][]}[] {
  const {exitCodes: codes} = command as {exitCodes?: readonly ExitCode[]}
  if (!codes) return []
  const body = [...new Set([...codes, ExitCode.interrupted])].sort((a, b) => a - b).map((code): [string, string] => [String(code), exitCodeMeaning[code]])
  return [{header: 'EXIT CODES', body}]
}
