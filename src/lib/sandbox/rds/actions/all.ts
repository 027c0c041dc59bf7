import type {Action} from './action.ts'
import {deleteDbInstance} from './delete.ts'
import {describeDbInstanceAutomatedBackups, describeDbInstances, describeDbParameterGroups, describeDbParameters, describeDbSubnetGroups, describeEvents} from './describe.ts'
import {describeDbLogFiles} from './logs.ts'
import {modifyDbInstance} from './modify.ts'
import {rebootDbInstance, startDbInstance, stopDbInstance} from './power.ts'
import {deregisterDbProxyTargets, describeDbProxies, describeDbProxyTargets, registerDbProxyTargets} from './proxies.ts'
import {startReplication, stopReplication} from './replication.ts'
import {restoreDbInstanceToPointInTime} from './restore.ts'
import {addRoleToDbInstance, removeRoleFromDbInstance} from './roles.ts'
import {createDbSnapshot, describeDbSnapshots} from './snapshot.ts'
import {addTagsToResource, listTagsForResource, removeTagsFromResource} from './tags.ts'

/** By the API's names. */
export const ACTIONS: Readonly<Record<string, Action>> = {
  AddRoleToDBInstance: addRoleToDbInstance,
  AddTagsToResource: addTagsToResource,
  CreateDBSnapshot: createDbSnapshot,
  DeleteDBInstance: deleteDbInstance,
  DeregisterDBProxyTargets: deregisterDbProxyTargets,
  DescribeDBInstanceAutomatedBackups: describeDbInstanceAutomatedBackups,
  DescribeDBInstances: describeDbInstances,
  DescribeDBLogFiles: describeDbLogFiles,
  DescribeDBParameterGroups: describeDbParameterGroups,
  DescribeDBParameters: describeDbParameters,
  DescribeDBProxies: describeDbProxies,
  DescribeDBProxyTargets: describeDbProxyTargets,
  DescribeDBSnapshots: describeDbSnapshots,
  DescribeDBSubnetGroups: describeDbSubnetGroups,
  DescribeEvents: describeEvents,
  ListTagsForResource: listTagsForResource,
  ModifyDBInstance: modifyDbInstance,
  RebootDBInstance: rebootDbInstance,
  RegisterDBProxyTargets: registerDbProxyTargets,
  RemoveRoleFromDBInstance: removeRoleFromDbInstance,
  RemoveTagsFromResource: removeTagsFromResource,
  RestoreDBInstanceToPointInTime: restoreDbInstanceToPointInTime,
  StartDBInstance: startDbInstance,
  StartDBInstanceAutomatedBackupsReplication: startReplication,
  StopDBInstance: stopDbInstance,
  StopDBInstanceAutomatedBackupsReplication: stopReplication,
}
