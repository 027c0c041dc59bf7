import {DrError, ExitCode, messageOf, preflightError} from '../../errors.ts'
import {createRoles, dropCreatedRoles, grantSql, mayCreateRoles, type KnownRole} from '../../postgres/create-roles.ts'
import {statementError} from '../../postgres/errors.ts'
import {quoteIdent} from '../../postgres/quote.ts'
import {mayOwn, roleNeeds, roleTrouble, type RoleTrouble} from '../../postgres/restore-needs.ts'
import {targetUrl} from '../../postgres/target.ts'
import type {Step} from '../../runbook/procedure.ts'
import {shellQuote} from '../../system/shell.ts'
import type {RestoreOptions, RestoreState} from './options.ts'
import {psql} from './preflight.ts'
import {databaseOf} from './source.ts'
import type {RestoreWork} from './work.ts'

/** Roles and memberships that the archive and the manifest name, as the map has them. */
export function rolesStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  const map = [...(options.roleMap ?? [])].map(([from, to]) => `${from} → ${to}`).join(', ')
  return {
    id: 'restore.roles',
    title: `Roles and memberships${map === '' ? '' : ` (${map})`}`,
    effect: 'read',
    byHand: () => [psql(options, work, String.raw`\du`), {argv: globalsCommand(options, work), note: 'creates the roles that are missing, without passwords'}],
    async run(state) {
      const trouble = await troubleOf(options, work, state)
      if (!options.createRoles) refuseRoles(trouble, state, globalsCommand(options, work).join(' '))
      else if (trouble.missing.length > 0 && !(await mayCreateRoles(await work.maintenance()))) {
        throw preflightError('restore.createrole', `Role ${userOf(state)} may not create roles; backup ${state.label} needs ${trouble.missing.join(', ')}.`, {hints: [`ALTER ROLE ${quoteIdent(userOf(state))} CREATEROLE`, '--role-map OLD=NEW gives what is one role\'s to another one.']})
      }
      state.roleTrouble = trouble
      await chooseOwner(options, work, state)
    },
  }
}

/** With --create-roles: makes what the check found missing. Taken back when the restore is, as far as nothing depends on it. */
export function createRolesStep(options: RestoreOptions, work: RestoreWork): Step<RestoreState> {
  return {
    id: 'restore.create-roles',
    title: 'Create the roles that are missing',
    effect: 'write',
    skip: ({roleTrouble: trouble}) => (!options.createRoles ? '--create-roles was not given' : trouble && isNoTrouble(trouble) ? 'all are there' : undefined),
    byHand: () => [{argv: globalsCommand(options, work), note: 'creates the roles that are missing, without passwords'}],
    async run(state, io) {
      const client = await work.maintenance()
      const trouble = await troubleOf(options, work, state)
      const wish = {run: work.mark.run, trouble, roles: options.backup.manifest.roles as KnownRole[], serverMajor: majorOf(state)}
      const made = await createRoles(client, wish).catch((error: unknown) => { throw statementError(error, 'Creating the roles') })
      state.roles = made
      refuseRoles(await troubleOf(options, work, state), state, globalsCommand(options, work).join(' '))
      await chooseOwner(options, work, state)
      if (made.created.length > 0) io.notice(`Made ${made.created.join(', ')}, without passwords.`)
      tellRoles(state)
    },
    async undo(state, io) {
      await work.persistently(async (client) => {
        const kept = await dropCreatedRoles(client, work.mark.run, {granted: state.roles?.granted ?? []})
        if (kept.length > 0) io.notice(`Something depends on ${kept.join(', ')} by now: what this restore has made of roles stays.`)
      }).catch((error: unknown) => {
        throw new DrError('restore.roles-left', `Roles that this restore has made are still there: ${messageOf(error)}`, {cause: error, exitCode: ExitCode.failed, hints: [`They carry the comment: made by dr restore ${work.mark.run}, without a password`]})
      })
      delete state.roles
    },
  }
}

function tellRoles({roles, findings}: RestoreState): void {
  if (roles === undefined) return
  if (roles.created.length > 0) findings.push({code: 'restore.roles-made', severity: 'info', subject: roles.created.join(', '), message: 'made by this restore'})
  for (const {member, group} of roles.granted) findings.push({code: 'restore.membership-made', severity: 'info', subject: member, message: `made a member of ${group} by this restore`})
  for (const role of roles.needPassword) findings.push({code: 'restore.password-needed', severity: 'warning', subject: role, message: 'may log in, and has no password yet', hint: String.raw`In psql: \password ${quoteIdent(role)}`})
  for (const {role, attribute, message} of roles.refused) findings.push({code: 'restore.role-attribute', severity: 'warning', subject: role, message: `was ${attribute} in the backup, and is not now: ${message}`})
}

const majorOf = ({server}: RestoreState) => server?.major ?? 0
const userOf = ({server}: RestoreState) => server?.user ?? ''
const isNoTrouble = ({missing, missingMemberships, foreign}: RoleTrouble) => missing.length + missingMemberships.length + foreign.length === 0

const troubleOf = async ({backup}: RestoreOptions, work: RestoreWork, state: RestoreState): Promise<RoleTrouble> => roleTrouble(await work.maintenance(), roleNeeds(work.archive, backup.manifest), majorOf(state))

/** The owner's right to make objects in schema public comes with owning the database. */
async function chooseOwner({backup}: RestoreOptions, work: RestoreWork, state: RestoreState): Promise<void> {
  const owner = databaseOf(backup.manifest)?.owner
  if (owner !== undefined && (await mayOwn(await work.maintenance(), owner, majorOf(state)))) state.owner = owner
}

function globalsCommand({backup, target}: RestoreOptions, {maintenanceDatabase}: RestoreWork): string[] {
  const url = targetUrl(target, maintenanceDatabase)
  return backup.directory === undefined ? ['sh', '-c', `aws s3 cp ${shellQuote(`${backup.location}/globals.sql`)} - | psql ${shellQuote(url)}`] : ['psql', url, '-f', `${backup.directory.replace(/\/$/, '')}/globals.sql`]
}

function refuseRoles({missing, missingMemberships, ...owners}: RoleTrouble, state: RestoreState, command: string): void {
  const hints = ['--create-roles makes them, without passwords; they are taken back if the restore is.', `Or apply the backup's globals.sql: ${command}`]
  if (missing.length > 0) {
    throw preflightError('restore.roles', `The server lacks ${missing.length === 1 ? 'a role' : 'roles'} that backup ${state.label} names: ${missing.join(', ')}.`, {hints: [...hints, `Or --role-map ${missing[0] ?? ''}=NEW gives what is of ${missing[0] ?? ''} to another role.`]})
  }
  if (missingMemberships.length > 0) throw preflightError('restore.memberships', `Memberships of backup ${state.label} are missing: ${missingMemberships.map(({member, group}) => `${member} in ${group}`).join(', ')}.`, {hints})
  if (owners.foreign.length > 0) throw foreignOwners(owners, state)
}

function foreignOwners({foreign, administered, superusers}: Pick<RoleTrouble, 'foreign' | 'administered' | 'superusers'>, state: RestoreState): DrError {
  const user = userOf(state)
  const own = foreign.filter((owner) => administered.includes(owner))
  const others = foreign.filter((owner) => !administered.includes(owner) && !superusers.includes(owner))
  const grants = (owners: readonly string[]) => owners.slice(0, 3).map((owner) => grantSql(owner, user, {admin: false, inherit: true, set: true}, majorOf(state))).join('; ')
  return preflightError('restore.owners', `Role ${user} cannot give objects to their owners: ${foreign.join(', ')}.`, {hints: [
    ...(own.length > 0 ? [`${user} may do this itself: ${grants(own)}`, 'Or --create-roles does it.'] : []),
    ...(others.length > 0 ? [`Who administers ${others.length === 1 ? 'this role' : 'these roles'} can do this: ${grants(others)}`] : []),
    ...(superusers.length > 0 ? [`${superusers.join(', ')} ${superusers.length === 1 ? 'is a superuser' : 'are superusers'}: --role-map ${superusers[0] ?? ''}=NEW gives what is theirs to another role.`] : []),
    'Or restore as a superuser.',
  ]})
}
