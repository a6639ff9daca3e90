# docker build -t usmp . && docker run -v usmp:/data -p 9000:9000/tcp -p 9000:9000/udp --read-only usmp
# Node 22 has SQLite built in, so nothing native is compiled, and no package's install script runs.
FROM node:22-slim AS build
WORKDIR /usmp
COPY package.json package-lock.json .npmrc tsconfig.base.json ./
COPY packages ./packages
COPY apps ./apps
RUN npm ci --omit=optional --ignore-scripts \
 && node node_modules/typescript/bin/tsc -b apps/cli \
 && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:22-slim
# Without payloads in the log of the container; --json of the command line would write them.
ENV NODE_ENV=production USMP_DATA=/data USMP_LOG_FORMAT=json
WORKDIR /usmp
COPY --from=build /usmp/package.json ./
COPY --from=build /usmp/node_modules ./node_modules
COPY --from=build /usmp/packages ./packages
COPY --from=build /usmp/apps ./apps
RUN mkdir -m 0700 /data && chown 1000:1000 /data
# The image's user "node", by its number: Kubernetes can tell that it is not root.
USER 1000:1000
# All that is ever written; the rest may be read-only.
VOLUME /data
EXPOSE 9000/tcp 9000/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["node", "apps/cli/bin/usmp.mjs", "why", "--limit", "1", "--json"]
ENTRYPOINT ["node", "apps/cli/bin/usmp.mjs"]
CMD ["gateway"]
