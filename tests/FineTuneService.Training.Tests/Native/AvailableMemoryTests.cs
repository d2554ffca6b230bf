using FineTuneService.Training.Native;

namespace FineTuneService.Training.Tests.Native;

public sealed class AvailableMemoryTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("finetune-memory-").FullName;

    public AvailableMemoryTests() => Write("proc/meminfo", "MemTotal:       8000 kB\nMemFree:        1000 kB\nMemAvailable:   4000 kB\n");

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private long Available => new AvailableMemory(_root).Bytes;

    [Fact]
    public void Without_a_group_it_is_what_the_system_would_give() => Assert.Equal(4_096_000, Available);

    [Fact]
    public void The_narrowest_group_decides_and_files_count_as_free()
    {
        Write("proc/self/cgroup", "0::/outer/inner\n");
        Write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
        Write("sys/fs/cgroup/outer/inner/memory.current", "7\n");
        Write("sys/fs/cgroup/outer/memory.max", "3000000\n");
        Write("sys/fs/cgroup/outer/memory.current", "1000000\n");
        Write("sys/fs/cgroup/outer/memory.stat", "anon 5\ninactive_file 250000\n");

        Assert.Equal(2_250_000, Available);
    }

    [Fact]
    public void In_a_container_its_own_group_is_the_root()
    {
        Write("proc/self/cgroup", "0::/\n");
        Write("sys/fs/cgroup/memory.max", "1000\n");
        Write("sys/fs/cgroup/memory.current", "2000\n");

        Assert.Equal(0, Available);
    }

    [Fact]
    public void The_older_kind_of_group_is_known()
    {
        Write("proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/box\n");
        Write("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "900000\n");
        Write("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "100000\n");
        Write("sys/fs/cgroup/memory/box/memory.stat", "total_inactive_file 1\n");

        Assert.Equal(800_001, Available);
    }

    [Fact]
    public void This_machine_has_some() => Assert.InRange(new AvailableMemory().Bytes, 1 << 20, long.MaxValue - 1);

    private void Write(string file, string text)
    {
        var path = Path.Combine(_root, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
