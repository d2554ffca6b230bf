using System.Runtime.InteropServices;

namespace FineTuneService.Training.Native;

/// <summary>What is needed of MPI (MPI 3.1), by the C interface of Open MPI 4: processes of one program that add up their numbers.</summary>
internal static unsafe partial class Mpi
{
    private const string Library = "libmpi.so.40";

    // mpi.h: what a caller passes are addresses of the library's own objects.
    private static nint World { get; } = Symbol("ompi_mpi_comm_world");

    private static nint Sum { get; } = Symbol("ompi_mpi_op_sum");

    private static nint Float { get; } = Symbol("ompi_mpi_float");

    private static nint Double { get; } = Symbol("ompi_mpi_double");

    public static void Initialize() => Check(Init(null, null), "MPI_Init");

    /// <summary>Waits for all others to come as far.</summary>
    public static void Finish() => Check(Finalize(), "MPI_Finalize");

    public static void Barrier() => Check(Barrier(World), "MPI_Barrier");

    /// <summary>Ends all processes.</summary>
    public static void Abort(int exitCode) => _ = Abort(World, exitCode);

    /// <summary>Puts the sum over all processes in the place of each one's numbers; the same bits everywhere.</summary>
    public static void AddUp(Span<double> numbers)
    {
        fixed (double* first = numbers)
        {
            Check(AllReduce(InPlace, first, numbers.Length, Double, Sum, World), "MPI_Allreduce");
        }
    }

    /// <inheritdoc cref="AddUp(Span{double})"/>
    public static void AddUp(float* first, int count) => Check(AllReduce(InPlace, first, count, Float, Sum, World), "MPI_Allreduce");

    private static void* InPlace => (void*)1; // MPI_IN_PLACE

    private static nint Symbol(string name) => NativeLibrary.GetExport(NativeLibrary.Load(Library), name);

    private static void Check(int code, string function)
    {
        if (code != 0)
            throw new InvalidOperationException($"{function} failed with code {code}.");
    }

    [LibraryImport(Library, EntryPoint = "MPI_Init")]
    private static partial int Init(int* count, byte*** arguments);

    [LibraryImport(Library, EntryPoint = "MPI_Finalize")]
    private static partial int Finalize();

    [LibraryImport(Library, EntryPoint = "MPI_Barrier")]
    private static partial int Barrier(nint world);

    [LibraryImport(Library, EntryPoint = "MPI_Abort")]
    private static partial int Abort(nint world, int exitCode);

    [LibraryImport(Library, EntryPoint = "MPI_Allreduce")]
    private static partial int AllReduce(void* send, void* receive, int count, nint type, nint operation, nint world);
}
