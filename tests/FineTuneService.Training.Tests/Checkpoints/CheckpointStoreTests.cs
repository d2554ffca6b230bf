using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;

namespace FineTuneService.Training.Tests.Checkpoints;

public sealed class CheckpointStoreTests : IDisposable
{
    private readonly RunFolder _run = new(Directory.CreateTempSubdirectory("store").FullName);
    private readonly CheckpointStore _store;

    public CheckpointStoreTests()
    {
        _store = new(_run);
        Save(10);
        Save(20);
    }

    public void Dispose() => Directory.Delete(_run.Path, recursive: true);

    [Fact]
    public void One_changed_byte_in_any_file_of_a_checkpoint_makes_it_give_way_to_the_one_before()
    {
        var files = Directory.GetFiles(_run.Checkpoint(20));
        Assert.Equal(["manifest.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json"], files.Select(Path.GetFileName).Order(StringComparer.Ordinal));
        foreach (var file in files)
        {
            var sound = File.ReadAllBytes(file);
            for (var at = 0; at < sound.Length; at++)
            {
                var damaged = sound.ToArray();
                damaged[at] ^= 0x01; // One bit: a digit becomes another, a brace no brace.
                File.WriteAllBytes(file, damaged);
                var refused = new List<string>();
                Assert.Equal(10, _store.Latest(refused.Add));
                Assert.Equal($"checkpoint-20 is passed over: {Path.GetFileName(file)} has changed since it was written", Assert.Single(refused));
            }
            File.WriteAllBytes(file, sound);
        }
        Assert.Equal(20, _store.Latest(Assert.Fail));
    }

    [Fact]
    public void A_missing_or_shorter_file_is_damage()
    {
        var model = Path.Combine(_run.Checkpoint(20), "model.safetensors");
        File.WriteAllBytes(model, File.ReadAllBytes(model)[..^1]);
        Assert.Contains("has changed", _store.Damage(20), StringComparison.Ordinal);
        File.Delete(model);
        Assert.Contains("model.safetensors is missing", _store.Damage(20), StringComparison.Ordinal);
        File.Delete(Path.Combine(_run.Checkpoint(20), CheckpointStore.Manifest));
        Assert.Contains("manifest.json is missing", _store.Damage(20), StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_checkpoint_is_set_aside_so_that_it_never_counts_as_the_newest()
    {
        File.WriteAllText(Path.Combine(_run.Checkpoint(20), "model.safetensors"), "torn");
        var latest = _store.Latest(_ => { });
        _store.SetAside(beyond: latest!.Value);
        Save(15);

        Assert.Equal([10], _store.Prune(keep: 1, best: null));
        Assert.Equal([15], _store.Steps);
        Assert.Equal("torn", File.ReadAllText(Path.Combine(_run.Checkpoints, "damaged-checkpoint-20", "model.safetensors")));
    }

    [Fact]
    public void What_cannot_be_written_leaves_no_trace_and_the_others_as_they_were()
    {
        Assert.Throws<IOException>(() => _store.Save(30, folder =>
        {
            File.WriteAllText(Path.Combine(folder, "model.safetensors"), "half");
            throw new IOException("No space left on device", 28);
        }));

        Assert.Equal([10, 20], _store.Steps);
        Assert.Equal(20, _store.Latest(Assert.Fail));
        Assert.Equal(2, Directory.GetFileSystemEntries(_run.Checkpoints).Length);
    }

    private void Save(int step) => _store.Save(step, folder =>
    {
        foreach (var name in new[] { "model.safetensors", "optimizer.safetensors", "trainer_state.json" })
            File.WriteAllText(Path.Combine(folder, name), $"{name} after step {step}");
        return new ExportProof(0, 1.5e-7, 1e-4);
    });
}
