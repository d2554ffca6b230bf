using System.Globalization;
using FineTuneService.Training.Native;
using static TorchSharp.torch;

namespace FineTuneService.Training.Distributed;

/// <summary>
/// The processes that train one run together, each a share of every step's micro-batches: data parallelism as in PyTorch's DistributedDataParallel (Li et al. 2020, arXiv:2006.15704).
/// They hold the same weights and take the same step, because they add their gradients up before it. Rank 0 speaks for all: it alone logs, evaluates and saves.
/// </summary>
public sealed class Ranks
{
    /// <summary>Gradients are added up in parts of so many numbers, 25 MB, as in PyTorch.</summary>
    private const int BucketSize = 25 << 18;

    private Ranks(int rank, int count) => (Rank, Count) = (rank, count);

    /// <summary>One process that does everything itself.</summary>
    public static Ranks Alone { get; } = new(0, 1);

    /// <summary>From 0 on.</summary>
    public int Rank { get; }

    public int Count { get; }

    public bool IsFirst => Rank == 0;

    /// <summary>Whether <c>mpirun</c> has started this process, among others.</summary>
    public static bool AreHere => Variable("OMPI_COMM_WORLD_SIZE") is not null;

    /// <summary>Joins the others that <c>mpirun</c> has started; alone without one.</summary>
    public static Ranks Join()
    {
        if (Variable("OMPI_COMM_WORLD_SIZE") is not { } count)
            return Alone;
        Mpi.Initialize();
        set_num_threads(Math.Max(1, Environment.ProcessorCount / count));
        return new(Variable("OMPI_COMM_WORLD_RANK")!.Value, count);
    }

    /// <summary>Sums over all processes, the same bits in each.</summary>
    public double[] AddUp(params double[] numbers)
    {
        if (Count > 1)
            Mpi.AddUp(numbers);
        return numbers;
    }

    /// <summary>What rank 0 has, for all.</summary>
    public double OfFirst(double number) => AddUp(IsFirst ? number : 0)[0];

    /// <summary>Puts the sum over all processes in the place of each tensor; all must bring the same shapes in the same order. Not for one that is alone.</summary>
    /// <param name="tensors">Floating-point, on any device: they travel through this machine's memory in fp32.</param>
    public unsafe void AddUp(IReadOnlyList<Tensor> tensors)
    {
        using var _ = no_grad();
        for (var next = 0; next < tensors.Count;)
        {
            using var scope = NewDisposeScope();
            var bucket = new List<Tensor>();
            for (long size = 0; next < tensors.Count && (size == 0 || size + tensors[next].numel() <= BucketSize); next++)
            {
                bucket.Add(tensors[next]);
                size += tensors[next].numel();
            }
            var flat = cat([.. bucket.Select(tensor => tensor.reshape(-1).to(CPU).to(ScalarType.Float32))]);
            fixed (byte* first = flat.bytes)
            {
                Mpi.AddUp((float*)first, checked((int)flat.numel()));
            }
            long at = 0;
            foreach (var tensor in bucket)
            {
                tensor.copy_(flat.narrow(0, at, tensor.numel()).view(tensor.shape));
                at += tensor.numel();
            }
        }
    }

    /// <summary>Does something in rank 0 first, then in all others: what it leaves in files is made once.</summary>
    public T FirstAlone<T>(Func<T> act)
    {
        if (Count == 1)
            return act();
        if (!IsFirst)
            Mpi.Barrier();
        var result = act();
        if (IsFirst)
            Mpi.Barrier();
        return result;
    }

    /// <summary>Ends all processes of the run at once.</summary>
    public void Abort(int exitCode)
    {
        if (Count > 1)
            Mpi.Abort(exitCode);
    }

    /// <summary>Waits until all have come as far.</summary>
    public void Finish()
    {
        if (Count > 1)
            Mpi.Finish();
    }

    private static int? Variable(string name) => Environment.GetEnvironmentVariable(name) is { } value ? int.Parse(value, CultureInfo.InvariantCulture) : null;
}
