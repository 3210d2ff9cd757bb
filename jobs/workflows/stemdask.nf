// Every file of frames becomes a store of its own:
//
//     nextflow run stemdask.nf --frames 'frames/*.dm4' --config run.yaml --results /scratch/me/results
//
// Stores lie in the folder of the results and not in the work directory of a task: a task that is tried again gets
// another one, and a store that is left resumes where it stopped.
params.frames = 'frames/*.dm4'
params.config = 'run.yaml'
params.results = 'results'

process STEMDASK {
    tag "${frames.baseName}"
    cpus 4
    memory '12 GB'
    time '4h'
    errorStrategy { task.exitStatus in [75, 137, 140, 143] ? 'retry' : 'finish' }
    maxRetries 3
    publishDir params.results, mode: 'copy'

    input:
    path frames
    path config
    val results

    output:
    path "${frames.baseName}.html"

    // A store is complete although some of its frames failed (exit code 3).
    script:
    """
    stemdask run ${config} --set input.path=${frames} -o ${results}/${frames.baseName}.zarr \\
        --cluster processes --set cluster.workers=${task.cpus} --no-report || [ \$? -eq 3 ]
    stemdask report ${results}/${frames.baseName}.zarr -o ${frames.baseName}.html
    """
}

workflow {
    STEMDASK(channel.fromPath(params.frames), file(params.config), file(params.results).toAbsolutePath().toString())
}
