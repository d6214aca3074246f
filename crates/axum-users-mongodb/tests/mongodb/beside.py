"""FastAPI Users with its own adapter on MongoDB: reads a JSON object a line, does it, answers with a JSON value a line."""

import asyncio
import json
import sys

from beanie import Document, PydanticObjectId, init_beanie
from fastapi_users import BaseUserManager, schemas
from fastapi_users.exceptions import FastAPIUsersException
from fastapi_users.password import PasswordHelper
from fastapi_users_db_beanie import BaseOAuthAccount, BeanieBaseUser, BeanieUserDatabase, ObjectIDIDMixin
from fastapi_users_db_beanie.access_token import BeanieAccessTokenDatabase, BeanieBaseAccessToken
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import Field
from pymongo import AsyncMongoClient


class OAuthAccount(BaseOAuthAccount):
    pass


class User(BeanieBaseUser, Document):
    oauth_accounts: list[OAuthAccount] = Field(default_factory=list)


class AccessToken(BeanieBaseAccessToken, Document):
    pass


class UserManager(ObjectIDIDMixin, BaseUserManager[User, PydanticObjectId]):
    reset_password_token_secret = "x" * 32
    verification_token_secret = "y" * 32


class Form:
    def __init__(self, username, password):
        self.username = username
        self.password = password


def shown(user):
    accounts = sorted([it.oauth_name, it.account_id, it.account_email] for it in user.oauth_accounts)
    return [user.email, user.is_active, user.is_verified, user.is_superuser, accounts]


async def do(manager, database, tokens, op, email="", password="", **more):
    match op:
        case "register":
            return shown(await manager.create(schemas.BaseUserCreate(email=email, password=password)))
        case "login":
            user = await manager.authenticate(Form(email, password))
            return user and user.email
        case "token":
            user = await manager.get_by_email(email)
            return (await tokens.create({"token": more["token"], "user_id": user.id})).token
        case "owner":
            token = await tokens.get_by_token(more["token"])
            return token and (await manager.get(token.user_id)).email
        case "change":
            user = await manager.get_by_email(email)
            return shown(await manager.update(schemas.BaseUserUpdate(**more["set"]), user))
        case "link":
            user = await manager.get_by_email(email)
            account = {
                "oauth_name": more["name"], "access_token": "clear", "account_id": more["id"],
                "account_email": email, "expires_at": 1_800_000_000, "refresh_token": None,
            }
            return shown(await database.add_oauth_account(user, account))
        case "provider":
            user = await manager.oauth_callback(
                more["name"], "again", more["id"], more["account_email"], 1_800_000_001, None
            )
            return shown(user)
        case "delete":
            await manager.delete(await manager.get_by_email(email))
            return None
        case "all":
            return sorted([shown(user) async for user in User.find_all()])


async def main(url):
    client = AsyncMongoClient(url)
    models = [User, AccessToken]
    await init_beanie(database=client.get_default_database(), document_models=models)
    database = BeanieUserDatabase(User, OAuthAccount)
    cheap = PasswordHelper(PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)))
    manager = UserManager(database, cheap)
    tokens = BeanieAccessTokenDatabase(AccessToken)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        try:
            answer = await do(manager, database, tokens, **json.loads(line))
        except FastAPIUsersException as refused:
            answer = {"refused": type(refused).__name__}
        print(json.dumps(answer), flush=True)


asyncio.run(main(sys.argv[1]))
