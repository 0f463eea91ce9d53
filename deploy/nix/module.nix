# Instances of syncline on NixOS. Each is syncline@<name>.service, as the package has it, and publishes
# /var/lib/syncline/<name>/current:
#
#   imports = [ ./deploy/nix/module.nix ];
#   services.syncline.instances.site.settings = {
#     repo = "https://example.com/site.git";
#     ref = "main";
#     period = "1m";
#   };
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.syncline;
  inherit (lib) mkOption types;

  # As a unit reads it: some-name is GITSYNC_SOME_NAME.
  variable = name: "GITSYNC_" + lib.toUpper (builtins.replaceStrings [ "-" ] [ "_" ] name);
  text = value: if builtins.isBool value then lib.boolToString value else toString value;
  line = name: value: "${variable name}=${lib.escapeShellArg (text value)}\n";
  file = settings: lib.concatStrings (lib.mapAttrsToList line settings);

  instance = types.submodule {
    options = {
      settings = mkOption {
        type = types.attrsOf (
          types.oneOf [
            types.str
            types.int
            types.bool
          ]
        );
        example = {
          repo = "https://example.com/site.git";
          ref = "main";
        };
        description = "Options of syncline without their dashes. They are readable by everyone on the machine.";
      };
      environmentFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/run/secrets/syncline-site";
        description = "A file with secrets, such as GITSYNC_PASSWORD=…, read when the instance starts.";
      };
    };
  };
in
{
  options.services.syncline = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package to run.";
    };
    instances = mkOption {
      type = types.attrsOf instance;
      default = { };
      description = "Repositories to keep in step, each by a process of its own.";
    };
  };

  config = lib.mkIf (cfg.instances != { }) {
    environment.systemPackages = [ cfg.package ];
    systemd.packages = [ cfg.package ];

    users.users.syncline = {
      isSystemUser = true;
      group = "syncline";
      home = "/var/lib/syncline";
      description = "Publishes Git trees";
    };
    users.groups.syncline = { };

    environment.etc = lib.mapAttrs' (
      name: instance: lib.nameValuePair "syncline/${name}.env" { text = file instance.settings; }
    ) cfg.instances;

    systemd.services = lib.mapAttrs' (
      name: instance:
      lib.nameValuePair "syncline@${name}" {
        overrideStrategy = "asDropin";
        wantedBy = [ "multi-user.target" ];
        restartTriggers = [
          (file instance.settings)
          cfg.package
        ];
        serviceConfig = lib.optionalAttrs (instance.environmentFile != null) {
          EnvironmentFile = [ (toString instance.environmentFile) ];
        };
      }
    ) cfg.instances;
  };
}
