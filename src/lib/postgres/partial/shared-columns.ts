import type {Catalog, Selection} from './contract.ts'
import {shapeOf, shownName} from './names.ts'

/** What the rows cannot bring back, or bring no value for: columns that are on one side only, and those that the server alone may change. */
export function sharedColumns({tables}: Selection, {live, backup}: {live: Catalog; backup: Catalog}): string[] {
  return tables.filter(({role, columns}) => role !== 'links' && columns === undefined).flatMap(({table}) => {
    const [here, there] = [shapeOf(live, table), shapeOf(backup, table)]
    if (here === undefined || there === undefined) return []
    const only = (one: typeof here, other: typeof here) => one.columns.filter(({name, generated}) => !generated && !other.columns.some((column) => column.name === name)).map(({name}) => name)
    const [gone, young] = [only(there, here), only(here, there)]
    const fixed = here.columns.filter(({name, identity}) => identity === 'always' && there.columns.some((one) => one.name === name) && !there.keys.find(({strict}) => strict)?.columns.includes(name)).map(({name}) => name)
    return [
      ...(there.keys.some(({strict}) => strict) && fixed.length > 0 ? [`${shownName(table)} has numbers that are GENERATED ALWAYS, and are not looked at in rows that are there; only rows that come back get theirs: ${fixed.join(', ')}.`] : []),
      ...(gone.length > 0 ? [`${shownName(table)} had columns that are not live any more; they stay out: ${gone.join(', ')}.`] : []),
      ...(young.length > 0 ? [`${shownName(table)} has columns that the backup has not; rows that come back get their defaults: ${young.join(', ')}.`] : []),
    ]
  })
}
