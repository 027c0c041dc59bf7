import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {procedureFlags} from '../lib/cli/flags.ts'
import {isRun, type RunResult} from '../lib/cli/run-procedure.ts'
import {ExitCode} from '../lib/errors.ts'
import type {Verified, VerifyState} from '../lib/procedures/verify/options.ts'
import type {Plan} from '../lib/runbook/plan.ts'

export type VerifyResult = Plan | {
  /** Nothing is wrong anywhere. */
  ok: boolean
  level: string
  verified: Verified[]
  unreachable: VerifyState['unreachable']
  run: string
  journal: string
}

export default class Verify extends BaseCommand {
  static override summary = 'Verify a backup where it lies, byte by byte'
  static override description = 'Compares every copy of the backup with its manifest and notes the result beside it. quick: sizes, what the store keeps as checksums, the table of contents. full: every byte is read and hashed, every member is decompressed to its end, and the rows are counted. Dumps that dr did not make are verified as far as their kind allows, and the result says how far.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> 20261122T020000Z-7f3a --s3', '<%= config.bin %> <%= command.id %> --all --level quick', '<%= config.bin %> <%= command.id %> /mnt/disk/20261122T020000Z-7f3a', '<%= config.bin %> <%= command.id %> s3://bucket/backups/production.sql.gz']
  static override exitCodes = [ExitCode.ok, ExitCode.failed, ExitCode.usage, ExitCode.preflight, ExitCode.verification, ExitCode.unreachable, ExitCode.interrupted]
  static override args = {
    what: Args.string({description: 'a label, latest, the path of a backup or a dump, or s3://BUCKET/KEY; else latest', name: 'LABEL|PATH|URL'}),
  }
  static override flags = {
    level: Flags.option({options: ['quick', 'full'] as const})({description: 'how deep; else full', helpValue: 'LEVEL'}),
    s3: Flags.boolean({description: 'only the copy in the S3 bucket; with --local both'}),
    local: Flags.boolean({description: 'only the copy in the local folder'}),
    all: Flags.boolean({char: 'a', description: 'every backup of the environment'}),
    plan: procedureFlags.plan,
  }

  async run(): Promise<VerifyResult> {
    const {args, flags} = await this.parse(Verify)
    const context = this.context(flags)
    const [{composeVerify}, {usageError}] = await Promise.all([import('../lib/cli/verify.ts'), import('../lib/errors.ts')])
    if (flags.all && args.what !== undefined) throw usageError('usage', '--all verifies every backup: name none.', {hints: ['Leave out either --all or the name.']})
    const composed = await composeVerify(context, args.what ?? 'latest', flags.level ?? 'full', this.config.version, flags)
    try {
      const result = await this.runProcedure(composed.procedure, composed.state, flags, context)
      return isRun(result) ? await this.report(result) : result
    } finally {
      await composed.close()
    }
  }

  private async report({state, run, journal}: RunResult<VerifyState>): Promise<VerifyResult> {
    const [{verificationLines}, {columnsOf}, {redact}] = await Promise.all([import('../lib/ui/verification.ts'), import('../lib/ui/text.ts'), import('../lib/system/redact.ts')])
    const {verified, unreachable, level} = state
    const how = {several: new Set(verified.map(({storage}) => storage)).size > 1, width: process.stdout.isTTY ? columnsOf(process.stdout) : undefined}
    for (const one of verified) for (const line of verificationLines(one, how)) this.log('%s', redact(line))
    for (const {location, message} of unreachable) this.logToStderr('%s', redact(`Error: ${location} was not verified: ${message}`))
    const ok = verified.every((one) => one.ok === true)
    if (!ok) process.exitCode = ExitCode.verification
    else if (unreachable.length > 0) process.exitCode = ExitCode.unreachable
    return {ok, level, verified, unreachable, run, journal}
  }
}
