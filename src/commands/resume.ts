import {Args, Flags} from '@oclif/core'
import {BaseCommand} from '../lib/cli/base-command.ts'
import {PASSED_ON, procedureFlags} from '../lib/cli/flags.ts'
import type {ResumeFlags} from '../lib/cli/resume.ts'
import {ExitCode} from '../lib/errors.ts'
import type {ListedRun} from '../lib/report/listed-run.ts'

/** The list, newest first; or what was undone. A run that is gone on with has the result of its own command. */
export type ResumeResult = {runs: ListedRun[]} | {undone: true; run: string; journal: string} | undefined

export default class Resume extends BaseCommand {
  static override summary = 'List unfinished runs; go on with one, or undo it'
  static override description = 'A run is unfinished when its process was killed or its machine went down, when a question was declined, or when its undo failed. Going on takes the options that the run was begun with; what is done and still there is not done again. After Ctrl-C, a lost terminal and most failures a run has undone itself already.'
  static override examples = ['<%= config.bin %> <%= command.id %>', '<%= config.bin %> <%= command.id %> latest', '<%= config.bin %> <%= command.id %> 20261122T101942Z-restore-2827 --undo']
  static override exitCodes = Object.values(ExitCode)
  static override args = {run: Args.string({ignoreStdin: true, name: 'RUN', description: 'name of the run, its journal, or latest; without it the unfinished runs are listed'})}
  static override flags = {
    undo: Flags.boolean({description: 'undo what the run did, last first'}),
    all: Flags.boolean({char: 'a', description: 'list the runs that are finished or undone, too'}),
    confirm: procedureFlags.confirm,
    yes: procedureFlags.yes,
  }

  async run(): Promise<ResumeResult> {
    const {args, flags} = await this.parse(Resume)
    const context = this.context(flags)
    if (args.run !== undefined) return this.resume(args.run, flags)
    const {chosenRun, listRuns} = await import('../lib/cli/resume.ts')
    const runs = await listRuns(context, flags.all)
    const chosen = await chosenRun(context, runs)
    await context.close()
    return chosen === undefined ? {runs} : this.resume(chosen.run, {...flags, undo: chosen.undo})
  }

  private async resume(name: string, flags: ResumeFlags): Promise<ResumeResult> {
    const {openRun, undoneRun} = await import('../lib/cli/resume.ts')
    const {command, resuming, close} = await openRun(this.context(flags), name, flags)
    try {
      await this.again(command, resuming, PASSED_ON.filter((flag) => this.argv.includes(flag)))
      return undefined
    } catch (error) {
      const {message, run, journal} = undoneRun(error)
      this.logToStderr('%s', message)
      return {undone: true, run, journal}
    } finally {
      await close()
    }
  }
}
