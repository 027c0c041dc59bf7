import {DrError, ExitCode, messageOf, preflightError} from '../../errors.ts'
import {createRoles, dropCreatedRoles, grantSql, markedRoles, mayCreateRoles, type KnownRole} from '../../postgres/create-roles.ts'
import type {Archive} from '../../postgres/archive.ts'
import type {Client} from '../../postgres/connection.ts'
import {statementError} from '../../postgres/errors.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {entryName} from '../../postgres/restore-lists.ts'
import {skipFor} from '../../postgres/restore-skip.ts'
import {grantors} from '../../postgres/role-map.ts'
import {isOwned, mayOwn, roleNeeds, roleTrouble, type RoleNeeds, type RoleTrouble} from '../../postgres/restore-needs.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {ManualCommand, Step, StepIo} from '../../runbook/procedure.ts'
import {shellQuote} from '../../system/shell.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {psql} from './preflight.ts'
import type {RestoreSession} from './session.ts'
import {databaseOf} from './source.ts'
import type {RestoreWork} from './work.ts'

/** What a restore needs of roles, whatever it restores. */
export interface RolesWish {
  needs(): RoleNeeds
  /** What is known of their attributes and memberships. */
  known: readonly KnownRole[]
  /** Of the source's database. */
  owner(state: RestoreState): string | undefined
  /** What makes them by hand. */
  byHand: ManualCommand
  /** What a role owns or has granted, by name and kind. */
  owned: (role: string) => {kind: string; name: string}[]
}

type RolesOptions = Pick<RestoreOptions, 'target' | 'createRoles'>

/** Of a backup: what its manifest says, as the map has it. */
export const backupRoles = (options: RestoreOptions, work: RestoreWork): RolesWish => ({
  needs: () => roleNeeds(work.archive, options.backup.manifest),
  known: options.backup.manifest.roles,
  owner: () => databaseOf(options.backup.manifest)?.owner,
  byHand: {argv: globalsCommand(options, work), note: 'creates the roles that are missing, without passwords'},
  owned: (role) => ownedIn(work.archive, role),
})

/** Entries that belong to a role, or that pass a privilege on in its name. */
export const ownedIn = ({entries}: Archive, role: string): {kind: string; name: string}[] =>
  entries.filter(({kind, owner, definition}) => (kind === 'ACL' ? grantors(definition).includes(role) : owner === role && isOwned(kind))).map((entry) => ({kind: entry.kind, name: entryName(entry)}))

/** Roles and memberships that the archive and the manifest name, as the map has them. */
export function rolesStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const map = [...(options.roleMap ?? [])].map(([from, to]) => `${from} → ${to}`).join(', ')
  const wish = backupRoles(options, work)
  return {
    id: 'restore.roles',
    title: `Roles and memberships${map === '' ? '' : ` (${map})`}`,
    effect: 'read',
    byHand: (state) => [
      psql(options, work, String.raw`\du`), wish.byHand,
      ...[...(options.roleMap ?? [])].map(([from, to]) => ({argv: ['psql', targetUrl(options.target, state.database), '-c', `REASSIGN OWNED BY ${quoteIdent(from)} TO ${quoteIdent(to)}`], note: 'by hand the roles are changed after the restore; privileges, policies and default privileges are to be repeated for the new role'})),
    ],
    run: (state) => checkRoles(options, work, wish, state),
  }
}

/** Refuses what --create-roles was not asked to repair. */
export async function checkRoles(options: RolesOptions, work: RestoreSession, wish: RolesWish, state: RestoreState): Promise<void> {
  const client = await work.maintenance()
  const trouble = await roleTrouble(client, wish.needs(), majorOf(state))
  if (!options.createRoles) refuseRoles(trouble, state, wish)
  else if (trouble.missing.length > 0 && !(await mayCreateRoles(client))) {
    throw preflightError('restore.createrole', `Role ${userOf(state)} may not create roles; ${state.label} needs ${trouble.missing.join(', ')}.`, {hints: [`ALTER ROLE ${quoteIdent(userOf(state))} CREATEROLE`, '--role-map OLD=NEW gives what is one role\'s to another one.']})
  }
  state.roleTrouble = trouble
  state.madeBefore = options.createRoles ? (await markedRoles(client, work.mark.run)).length : 0
  await chooseOwner(client, wish, state)
}

/** With --create-roles: makes what the check found missing. Taken back when the restore is, as far as nothing depends on it. */
export function createRolesStep<S extends RestoreState>(options: RolesOptions, work: RestoreSession, wish: RolesWish): Step<S> {
  return {
    id: 'restore.create-roles',
    title: 'Create the roles that are missing',
    effect: 'write',
    skip: ({roleTrouble: trouble, madeBefore = 0}) => (!options.createRoles ? '--create-roles was not given' : trouble && isNoTrouble(trouble) && madeBefore === 0 ? 'all are there' : undefined),
    byHand: () => [wish.byHand],
    async run(state, io) {
      const client = await work.maintenance()
      const trouble = await roleTrouble(client, wish.needs(), majorOf(state))
      const made = await createRoles(client, {run: work.mark.run, trouble, roles: wish.known, serverMajor: majorOf(state)}).catch((error: unknown) => { throw statementError(error, 'Creating the roles') })
      state.roles = made
      refuseRoles(await roleTrouble(client, wish.needs(), majorOf(state)), state, wish)
      await chooseOwner(client, wish, state)
      if (made.created.length > 0) io.notice(`Made ${made.created.join(', ')}, without passwords.`)
      tellRoles(state)
    },
    undo: (state, io) => takeBack(work, state, io),
  }
}

async function takeBack(work: RestoreSession, state: RestoreState, io: StepIo): Promise<void> {
  // What is live needs its roles.
  if (state.swap?.swapped === true || state.swap?.inPlaceDone === true) return
  try {
    await work.persistently(async (client) => {
      const kept = await dropCreatedRoles(client, work.mark.run, {granted: state.roles?.granted ?? []})
      if (kept.length > 0) io.notice(`Something depends on ${kept.join(', ')} by now: what this restore has made of roles stays.`)
    })
  } catch (error) {
    throw new DrError('restore.roles-left', `Roles that this restore has made are still there: ${messageOf(error)}`, {cause: error, exitCode: ExitCode.failed, hints: [`They carry the comment: made by dr restore ${work.mark.run}, without a password`]})
  }
  delete state.roles
}

function tellRoles({roles, findings}: RestoreState): void {
  if (roles === undefined) return
  if (roles.created.length > 0) findings.push({code: 'restore.roles-made', severity: 'info', subject: roles.created.join(', '), message: 'made by this restore'})
  for (const {member, group} of roles.granted) findings.push({code: 'restore.membership-made', severity: 'info', subject: member, message: `made a member of ${group} by this restore`})
  for (const role of roles.needPassword) findings.push({code: 'restore.password-needed', severity: 'warning', subject: role, message: 'may log in, and has no password yet', hint: String.raw`In psql: \password ${quoteIdent(role)}`})
  for (const {role, attribute, message} of roles.refused) findings.push({code: 'restore.role-attribute', severity: 'warning', subject: role, message: `was ${attribute} in the backup, and is not now: ${message}`})
}

const majorOf = ({server}: Pick<RestoreState, 'server'>) => server?.major ?? 0
const userOf = ({server}: Pick<RestoreState, 'server'>) => server?.user ?? ''
const isNoTrouble = ({missing, missingMemberships, foreign}: RoleTrouble) => missing.length + missingMemberships.length + foreign.length === 0

/** The owner's right to make objects in schema public comes with owning the database. */
async function chooseOwner(client: Client, wish: RolesWish, state: RestoreState): Promise<void> {
  const owner = wish.owner(state)
  if (owner !== undefined && (await mayOwn(client, owner, majorOf(state)))) state.owner = owner
}

function globalsCommand({backup, target}: RestoreOptions, {maintenanceDatabase}: RestoreWork): string[] {
  const url = targetUrl(target, maintenanceDatabase)
  return backup.directory === undefined ? ['sh', '-c', `aws s3 cp ${shellQuote(`${backup.location}/globals.sql`)} - | psql ${shellQuote(url)}`] : ['psql', url, '-f', `${backup.directory.replace(/\/$/, '')}/globals.sql`]
}

function refuseRoles({missing, missingMemberships, ...owners}: RoleTrouble, {label, ...state}: RestoreState, {byHand, owned}: RolesWish): void {
  const hints = ['--create-roles makes them, without passwords; they are taken back if the restore is.', `Or by hand: ${byHand.argv.join(' ')}`]
  if (missing.length > 0) {
    throw preflightError('restore.roles', `The server lacks ${missing.length === 1 ? 'a role' : 'roles'} that ${label} names: ${missing.join(', ')}.`, {hints: [...hints, `Or --role-map ${missing[0] ?? ''}=NEW gives what is of ${missing[0] ?? ''} to another role.`]})
  }
  if (missingMemberships.length > 0) throw preflightError('restore.memberships', `Memberships that ${label} names are missing: ${missingMemberships.map(({member, group}) => `${member} in ${group}`).join(', ')}.`, {hints})
  if (owners.foreign.length > 0) throw foreignOwners(owners, state, owned)
}

function foreignOwners({foreign, administered, superusers}: Pick<RoleTrouble, 'foreign' | 'administered' | 'superusers'>, state: Pick<RestoreState, 'server'>, owned: RolesWish['owned']): DrError {
  const user = userOf(state)
  const what = (role: string) => owned(role).slice(0, 2).map(({name}) => name.replaceAll(/\s+/g, ' ')).join(', ')
  const skips = superusers.flatMap((role) => skipFor(owned(role).map(({kind}) => kind)))
  const own = foreign.filter((owner) => administered.includes(owner))
  const others = foreign.filter((owner) => !administered.includes(owner) && !superusers.includes(owner))
  const grants = (owners: readonly string[]) => owners.slice(0, 3).map((owner) => grantSql(owner, user, {admin: false, inherit: true, set: true}, majorOf(state))).join('; ')
  return preflightError('restore.owners', `Role ${user} cannot give objects to their owners: ${foreign.map((role) => `${role}${what(role) === '' ? '' : ` (${what(role)}${owned(role).length > 2 ? ', …' : ''})`}`).join('; ')}.`, {hints: [
    ...(own.length > 0 ? [`${user} may do this itself: ${grants(own)}`, 'Or --create-roles does it.'] : []),
    ...(others.length > 0 ? [`Who administers ${others.length === 1 ? 'this role' : 'these roles'} can do this: ${grants(others)}`] : []),
    ...(superusers.length > 0 ? [`${superusers.join(', ')} ${superusers.length === 1 ? 'is a superuser' : 'are superusers'}: --role-map ${superusers[0] ?? ''}=NEW gives what is theirs to another role.`] : []),
    ...(skips.length > 0 ? [`Or leave it out: ${[...new Set(skips)].map((kind) => `--skip ${kind}`).join(' ')}`] : []),
    'Or restore as a superuser.',
  ]})
}
