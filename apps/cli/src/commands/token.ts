import type { TokenRole, TokenView } from "@usmp/gateway";
import { Argument, Command, Option } from "commander";
import { addControlOptions, type ControlOptions, withGateway } from "../control-command.ts";
import { usage } from "../failure.ts";
import { duration } from "../options.ts";
import { escapeUnprintable } from "../printable.ts";
import { localTime } from "../render.ts";
import { saveSecret } from "../save-secret.ts";
import type { CommandContext } from "./context.ts";

interface AddOptions extends ControlOptions {
  readonly role: TokenRole;
  readonly expires?: number;
  readonly saveToken?: string;
}

/** Who may use the HTTP API. */
export function tokenCommand(context: CommandContext): Command {
  return new Command("token")
    .description("tokens of the HTTP API: who may ask the gateway for what, and until when")
    .addCommand(addCommand(context))
    .addCommand(listCommand(context))
    .addCommand(revokeCommand(context));
}

function addCommand(context: CommandContext): Command {
  const command = new Command("add")
    .description("make a token; it is shown once")
    .addArgument(new Argument("<name>", "who or what will use it; the audit names it"))
    .addOption(
      new Option("--role <role>", "viewer reads state; operator also messages, sends, suspends; admin everything")
        .choices(["viewer", "operator", "admin"])
        .makeOptionMandatory(),
    )
    .option(
      "--expires <time>",
      "until when it is good: 12h, 90d; without this until it is revoked",
      duration("--expires"),
    )
    .option("--save-token <file>", "write the token to a new file of mode 0600, and do not show it");
  return addControlOptions(command)
    .addHelpText("after", ADD_HELP)
    .action((name: string, options: AddOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        const { role, expires, saveToken, json } = options;
        const save = saveToken === undefined ? undefined : await saveSecret(saveToken);
        let made: TokenView & { token: string };
        try {
          made = await gateway.call("token.add", { name, role, ...(expires === undefined ? {} : { ttlMs: expires }) });
          await save?.write(`${made.token}\n`);
        } catch (error) {
          await save?.remove();
          throw error;
        }
        const { token, ...view } = made;
        if (json) {
          await reporter.event({
            event: "token",
            ...view,
            ...(saveToken === undefined ? { token } : { saved: saveToken }),
          });
        } else if (saveToken === undefined) {
          await reporter.line(token);
          await reporter.line(`token ${view.id} of role ${role}; it is not shown again`, context.environment.stderr);
        } else await reporter.line(`token ${view.id} of role ${role} is in ${escapeUnprintable(saveToken)}`);
        return 0;
      }),
    );
}

function listCommand(context: CommandContext): Command {
  return addControlOptions(new Command("list").description("list the tokens, without their secrets"))
    .addHelpText("after", LIST_HELP)
    .action((options: ControlOptions) =>
      withGateway(context, options, async (gateway, reporter) => {
        let count = 0;
        for await (const token of gateway.stream("token.list", {})) {
          count++;
          if (options.json) await reporter.event({ event: "token", ...token });
          else await reporter.line(tokenLine(token));
        }
        if (count === 0 && !options.json) await reporter.line('no tokens; "usmp token add" makes one');
        return 0;
      }),
    );
}

function revokeCommand(context: CommandContext): Command {
  return addControlOptions(new Command("revoke").description("end a token at once, with its live streams"))
    .addArgument(new Argument("<id>", "as usmp token list shows it"))
    .addHelpText("after", REVOKE_HELP)
    .action((id: string, options: ControlOptions) =>
      withGateway(
        context,
        options,
        async (gateway, reporter) => {
          const token = await gateway.call("token.revoke", { token: id });
          if (options.json) await reporter.event({ event: "token", ...token });
          else await reporter.line(tokenLine(token));
          return 0;
        },
        () => {
          // The token itself stays out of shells' histories.
          if (!/^[0-9a-f]{12}$/.test(id)) throw usage("the id is 12 hex digits, as usmp token list shows them");
        },
      ),
    );
}

function tokenLine({ id, name, role, expiresAt, lastUsedAt, revoked }: TokenView): string {
  const end = revoked ? "revoked" : expiresAt === null ? "no end" : `until ${localTime(expiresAt)}`;
  const used = lastUsedAt === null ? "never used" : `used ${localTime(lastUsedAt)}`;
  return `${id}  ${role.padEnd(8)}  ${end.padEnd(25)}  ${used.padEnd(24)}  ${escapeUnprintable(name)}`;
}

const ADD_HELP = `
Examples:
  $ usmp token add grafana --role viewer --expires 365d --save-token grafana.token
  $ usmp token add ada --role admin --expires 8h
  $ usmp device list --url https://gateway.example:9443 --token-file ada.token`;

const LIST_HELP = `
Examples:
  $ usmp token list
  $ usmp token list --json | jq -r 'select(.lastUsedAt == null and (.revoked | not)).id'    never used`;

const REVOKE_HELP = `
Examples:
  $ usmp token revoke 3f9a0c77b1d2`;
