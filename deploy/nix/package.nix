# syncline for Nix, from this checkout:
#   nix-build --expr '(import <nixpkgs> { }).callPackage ./deploy/nix/package.nix { }'
{
  lib,
  rustPlatform,
  installShellFiles,
}:
rustPlatform.buildRustPackage {
  pname = "syncline";
  version = (lib.importTOML ../../Cargo.toml).workspace.package.version;

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../Cargo.lock
      ../../Cargo.toml
      ../../README.md
      ../../crates
      ../../deploy/systemd
      ../../tests
    ];
  };
  cargoLock.lockFile = ../../Cargo.lock;
  cargoBuildFlags = [ "--package=syncline" ];

  # The tests start servers, mount file systems and run containers.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall = ''
    for what in man bash zsh fish; do $out/bin/syncline generate $what >syncline.$what; done
    mv syncline.man syncline.1
    installManPage syncline.1
    installShellCompletion --cmd syncline --bash syncline.bash --zsh syncline.zsh --fish syncline.fish
    for unit in syncline.service syncline@.service; do
      install -D -m 0644 deploy/systemd/$unit -t $out/lib/systemd/system
      substituteInPlace $out/lib/systemd/system/$unit --replace-fail /usr/bin/syncline $out/bin/syncline
    done
  '';

  meta = {
    description = "Keep a directory in step with a Git reference and publish every new commit atomically through a symlink";
    license = with lib.licenses; [
      mit
      asl20
    ];
    mainProgram = "syncline";
    platforms = lib.platforms.linux;
  };
}
