import {messageOf} from '../../errors.ts'
import {retried} from '../../postgres/partial/lock-retries.ts'
import {defaultSql, stillLost, type LostDefault} from '../../postgres/partial/lost-defaults.ts'
import {madeIn} from '../../postgres/partial/made.ts'
import {entryName} from '../../postgres/restore-lists.ts'
import type {StepIo} from '../../runbook/procedure.ts'
import type {Recreated, StageOptions} from './options.ts'
import {noted} from './recreate-into.ts'
import {undoSchemaOf} from './run-options.ts'
import type {StageWork} from './work.ts'

/** A setting of a moment, for which nobody should wait. */
const LONGEST_MS = 500

const nameOfDefault = ({table, column}: LostDefault): string => entryName({kind: 'DEFAULT', schema: table.schema, tag: `${table.name} ${column}`})

/** Defaults of living tables that went with something that is there again: numbers of a sequence, a function of rows. What is refused is told: the rows are back by then. */
export async function makeDefaults({config}: StageOptions, work: StageWork, recreated: Recreated, io: StepIo): Promise<void> {
  const {defaults = []} = recreated
  if (defaults.length === 0) return
  const lost = await work.live(io.signal, async (client) => {
    const made = await madeIn(client, undoSchemaOf(io.run))
    const again = new Set(made?.objects.map(({name}) => name))
    return stillLost(client, defaults.filter(({leansOn}) => leansOn.some((name) => again.has(name))))
  })
  for (const one of lost) {
    try {
      await work.live(io.signal, (client) => retried(() => noted(client, work, recreated, io, {tables: recreated.tables, make: () => client.query(`SET LOCAL lock_timeout = ${Math.min(config.partial.lockTimeoutMs, LONGEST_MS)}; ${defaultSql(one)}`)}), {signal: io.signal}))
      recreated.made.push(nameOfDefault(one))
    } catch (error) {
      io.signal.throwIfAborted()
      recreated.leftOut = [...recreated.leftOut.filter(({what}) => what !== nameOfDefault(one)), {what: nameOfDefault(one), why: messageOf(error)}]
      io.notice(`Not made anew: ${nameOfDefault(one)} (${messageOf(error)}). By hand: ${defaultSql(one)};`)
    }
  }
}
