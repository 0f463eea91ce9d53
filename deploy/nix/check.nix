# What scripts/check-packages evaluates without nixpkgs: the package and the module, given as little of nixpkgs as they use.
let
  lib = {
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    fileset = {
      toSource = { root, fileset }: builtins.all builtins.pathExists fileset && root == ../..;
      unions = paths: paths;
    };
    licenses = {
      mit = "MIT";
      asl20 = "Apache-2.0";
    };
    platforms.linux = [ "x86_64-linux" ];
    toUpper = builtins.replaceStrings (chars "abcdefghijklmnopqrstuvwxyz") (chars "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    boolToString = value: if value then "true" else "false";
    escapeShellArg = value: "'${value}'";
    concatStrings = builtins.concatStringsSep "";
    mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = f: set: builtins.listToAttrs (lib.mapAttrsToList f set);
    optionalAttrs = condition: set: if condition then set else { };
    mkIf = condition: value: if condition then value else { };
    mkOption = option: option;
    literalExpression = text: text;
    types = {
      submodule = module: module.options;
      attrsOf = type: type;
      nullOr = type: type;
      oneOf = types: types;
      str = "str";
      int = "int";
      bool = "bool";
      path = "path";
      package = "package";
    };
  };
  chars = text: builtins.genList (at: builtins.substring at 1 text) (builtins.stringLength text);

  package = import ./package.nix {
    inherit lib;
    rustPlatform.buildRustPackage = attributes: attributes;
    installShellFiles = "installShellFiles";
  };
  module = import ./module.nix {
    inherit lib;
    pkgs.callPackage = file: _: file;
    config.services.syncline = {
      package = "/nix/store/syncline";
      instances.site = {
        settings = {
          repo = "https://example.com/site.git";
          max-failures = 3;
          one-time = false;
        };
        environmentFile = /run/secrets/site;
      };
    };
  };
in
{
  inherit (package) pname version src;
  lockFile = builtins.pathExists package.cargoLock.lockFile;
  options = builtins.attrNames module.options.services.syncline;
  env = module.config.environment.etc."syncline/site.env".text;
  unit = module.config.systemd.services."syncline@site".serviceConfig.EnvironmentFile;
  package = module.config.systemd.packages;
}
